//! Which file system a file is on. Linux tells it in a file; elsewhere nothing is known.

use std::fs;
use std::path::Path;

/// What a file system over the network is called, if the file is on one.
pub(super) fn network_file_system(path: &Path) -> Option<String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let kind = file_system(&mounts, path)?;
    is_network(kind).then(|| kind.to_owned())
}

/// The type of the innermost mount that holds the path, by lines such as
/// `36 35 98:0 /root /mnt rw,noatime master:1 - ext4 /dev/sda1 rw`.
fn file_system<'a>(mounts: &'a str, path: &Path) -> Option<&'a str> {
    let mounted = mounts.lines().filter_map(|line| {
        let (place, source) = line.split_once(" - ")?;
        let point = unescaped(place.split(' ').nth(4)?);
        let kind = source.split(' ').next()?;
        path.starts_with(&point).then_some((point.len(), kind))
    });
    // Of several at one place the last one covers the others.
    mounted.max_by_key(|(depth, _)| *depth).map(|(_, kind)| kind)
}

/// Blanks and the like are written as `\040`.
fn unescaped(point: &str) -> String {
    let mut parts = point.split('\\');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(code) => {
                text.push(char::from(code));
                text.push_str(&part[3..]);
            }
            None => text.push_str(part),
        }
    }
    text
}

fn is_network(kind: &str) -> bool {
    const KINDS: [&str; 15] = [
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "9p",
        "afs",
        "ceph",
        "glusterfs",
        "lustre",
        "beegfs",
        "gpfs",
        "ncpfs",
        "coda",
        "virtiofs",
    ];
    const FUSE: [&str; 9] = [
        "sshfs",
        "s3fs",
        "gcsfuse",
        "glusterfs",
        "rclone",
        "goofys",
        "blobfuse2",
        "ceph",
        "juicefs",
    ];
    KINDS.contains(&kind) || kind.strip_prefix("fuse.").is_some_and(|kind| FUSE.contains(&kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_on_the_innermost_mount_that_holds_it() {
        let mounts = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
                      40 22 0:41 / /data rw - nfs4 server:/export rw,vers=4.2\n\
                      41 40 8:17 / /data/local\\040disk rw master:3 - xfs /dev/sdb1 rw\n\
                      42 22 0:50 / /home/me/remote rw - fuse.sshfs me@host: rw";
        let of = |path: &str| file_system(mounts, Path::new(path));
        assert_eq!(of("/var/lib/agent.db"), Some("ext4"));
        assert_eq!(of("/database/agent.db"), Some("ext4"));
        assert_eq!(of("/data/agent.db"), Some("nfs4"));
        assert_eq!(of("/data/local disk/agent.db"), Some("xfs"));
        assert_eq!(of("/home/me/remote/agent.db"), Some("fuse.sshfs"));
        assert!(["nfs4", "fuse.sshfs", "9p"].into_iter().all(is_network));
        assert!(!["ext4", "xfs", "overlay", "fuse.mergerfs"].into_iter().any(is_network));
    }
}
