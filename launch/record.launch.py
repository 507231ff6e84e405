"""Record what a policy node and its robot say, beside whatever runs them."""

from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription


def generate_launch_description() -> LaunchDescription:
    """Describe the recorder; the parameters' file is the policy's, because it names the robot's topics."""
    parameters = PathJoinSubstitution([FindPackageShare("dmpel_ros"), "config", "policy.yaml"])
    return LaunchDescription(
        [
            DeclareLaunchArgument("params_file", default_value=parameters, description="Parameters of the policy node."),
            DeclareLaunchArgument("folder", default_value="recordings", description="Folder for the recordings."),
            Node(
                package="dmpel_ros",
                executable="recorder",
                name="recorder",
                output="screen",
                parameters=[LaunchConfiguration("params_file"), {"folder": LaunchConfiguration("folder")}],
            ),
        ]
    )
