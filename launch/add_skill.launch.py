"""Start the simulated arm, the policy and a recorder: what a skill is demonstrated, learned and tried out with."""

from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription


def generate_launch_description() -> LaunchDescription:
    """Describe the three nodes by the launch files that there are for each part."""
    share = FindPackageShare("dmpel_ros")

    def included(name: str, **arguments: LaunchConfiguration) -> IncludeLaunchDescription:
        source = PythonLaunchDescriptionSource(PathJoinSubstitution([share, "launch", name]))
        return IncludeLaunchDescription(source, launch_arguments=arguments.items())

    return LaunchDescription(
        [
            DeclareLaunchArgument("library", default_value="models/libero_goal", description="Folder of the library that is to grow."),
            DeclareLaunchArgument("folder", default_value="recordings", description="Folder for the recordings."),
            included("simulation.launch.py", library=LaunchConfiguration("library")),
            included("record.launch.py", folder=LaunchConfiguration("folder")),
        ]
    )
