"""Start the policy node alone, for a robot whose drivers and controllers run already."""

from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription


def generate_launch_description() -> LaunchDescription:
    """Describe one node; everything but these arguments is set in the parameters' file."""
    parameters = PathJoinSubstitution([FindPackageShare("dmpel_ros"), "config", "policy.yaml"])
    return LaunchDescription(
        [
            DeclareLaunchArgument("params_file", default_value=parameters, description="Parameters of the policy node."),
            DeclareLaunchArgument("library", default_value="models/libero_goal", description="Folder of the library to run."),
            DeclareLaunchArgument("use_sim_time", default_value="false", description="Whether the time comes from /clock."),
            Node(
                package="dmpel_ros",
                executable="policy_node",
                name="policy",
                output="screen",
                parameters=[
                    LaunchConfiguration("params_file"),
                    {"library": LaunchConfiguration("library"), "use_sim_time": LaunchConfiguration("use_sim_time")},
                ],
            ),
        ]
    )
