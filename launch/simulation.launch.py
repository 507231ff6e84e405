"""Start the simulated arm and the policy node that drives it."""

from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription


def generate_launch_description() -> LaunchDescription:
    """Describe both nodes; the policy's part is the launch file that a robot uses."""
    share = FindPackageShare("dmpel_ros")
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                "simulation_params_file",
                default_value=PathJoinSubstitution([share, "config", "simulation.yaml"]),
                description="Parameters of the simulated arm.",
            ),
            DeclareLaunchArgument("library", default_value="models/libero_goal", description="Folder of the library to run."),
            DeclareLaunchArgument("viewer", default_value="false", description="Whether a window shows the simulation."),
            Node(
                package="dmpel_ros",
                executable="simulation_bridge",
                name="simulation",
                output="screen",
                parameters=[
                    LaunchConfiguration("simulation_params_file"),
                    {"viewer": ParameterValue(LaunchConfiguration("viewer"), value_type=bool)},
                ],
            ),
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(PathJoinSubstitution([share, "launch", "policy.launch.py"])),
                launch_arguments={"library": LaunchConfiguration("library"), "use_sim_time": "true"}.items(),
            ),
        ]
    )
