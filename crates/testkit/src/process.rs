//! What this process uses, as the kernel counts it.

use std::io;

/// Resident memory of this process, in bytes.
pub fn resident() -> io::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.map(|count| count << 10).ok_or_else(|| io::Error::other("the kernel does not say"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_written_is_resident() {
        let before = resident().unwrap();
        let block = vec![1_u8; 64 << 20];
        assert!(resident().unwrap() >= before + (60 << 20));
        assert_eq!(block[block.len() - 1], 1);
    }
}
