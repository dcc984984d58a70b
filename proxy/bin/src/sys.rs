//! The system calls that no library wraps safely.
#![allow(unsafe_code)]

use std::ops::Range;

use rustix::mm::{Advice, madvise};

/// Unmaps the program's own text: start-up goes through much of it (the command line, YAML, every Kubernetes type), and
/// serving through little. What runs on is mapped again as it is reached, from the page cache, which the kernel
/// may now use for others. To be called when a process has settled.
pub(crate) fn unmap_text() {
    // Not being told of its mappings, as without /proc, a process keeps what it has.
    let Some(text) = std::fs::read_to_string("/proc/self/maps").ok().and_then(|maps| text_of(&maps)) else {
        return;
    };
    let start = std::ptr::without_provenance_mut(text.start);
    // SAFETY: the range is one mapping of this program's file that may be read and executed, and never written: its pages
    // are those of the file, whatever was mapped before.
    let result = unsafe { madvise(start, text.len(), Advice::LinuxDontNeed) };
    if let Err(error) = result {
        tracing::debug!(%error, "the program's text stays mapped");
    }
}

/// The mapping that this function is in.
fn text_of(maps: &str) -> Option<Range<usize>> {
    let here = text_of as fn(&str) -> Option<Range<usize>> as usize;
    maps.lines().find_map(|line| {
        let mut parts = line.split(' ');
        let (start, end) = parts.next()?.split_once('-')?;
        let range = usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?;
        (parts.next()? == "r-xp" && range.contains(&here)).then_some(range)
    })
}

#[cfg(test)]
mod tests {
    use super::{text_of, unmap_text};

    #[test]
    fn text_is_found_and_comes_back() {
        let maps = std::fs::read_to_string("/proc/self/maps").expect("/proc");
        let text = text_of(&maps).expect("this runs in it");
        assert!(text.contains(&(unmap_text as fn() as usize)), "{text:x?}");
        unmap_text();
        assert_eq!(text_of(&maps), Some(text));
        // Neither of another program nor one that can be written.
        let here = text_of as fn(&str) -> Option<std::ops::Range<usize>> as usize;
        for line in
            ["0-1 r-xp 0 0:0 0 /x", &format!("{here:x}-{:x} rwxp 0 0:0 0 /x", here + 1), "", "x-y r-xp"]
        {
            assert_eq!(text_of(line), None, "{line}");
        }
    }
}
