use super::*;

#[test]
fn a_mount_is_known_by_its_device() {
    let mounts = "\
24 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
31 24 0:29 / /sys/fs/bpf rw,nosuid shared:9 - bpf bpf rw,mode=700
90 31 0:2 /0:54 /mnt/0:54 rw - tmpfs 0:54 rw";
    for (device, found) in
        [((8, 1), true), ((0, 29), true), ((0, 2), true), ((0, 54), false), ((29, 0), false)]
    {
        assert_eq!(is_mounted(mounts, device), found, "{device:?}");
    }
    assert!(!is_mounted("", (8, 1)));
}
