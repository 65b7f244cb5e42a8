//! Which targets are those of a native route or an endpoint. Input: a path, a line feed, a target.

use worker_server::fuzzing::match_path;

pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some((path, target)) = text.split_once('\n') else { return };
    let (is_native, is_endpoint) = match_path(path, target);
    let rest = target.strip_prefix(path);
    let without_query = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('?'));
    let is_path_of_target = !path.contains('?') && without_query;
    assert_eq!(is_native, is_path_of_target, "{path:?} {target:?}");
    assert_eq!(is_endpoint, path == target || is_path_of_target, "{path:?} {target:?}");
}
