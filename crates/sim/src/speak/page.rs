//! The page an edge in front of a provider shows when the provider does not answer it: HTML, whatever was asked.

use crate::speak::voice::Plain;

const BAD_GATEWAY: &str = "<!DOCTYPE html>\n<html>\n<head><title>502 Bad Gateway</title></head>\n<body>\n\
    <center><h1>502 Bad Gateway</h1></center>\n<hr><center>edge</center>\n</body>\n</html>\n";

/// 502 with a page.
pub(crate) fn bad_gateway() -> Plain {
    Plain::html(502, BAD_GATEWAY)
}
