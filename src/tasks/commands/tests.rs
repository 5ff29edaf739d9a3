//! Tables of answers: what the commands make of them.

use crate::guest::Write;
use crate::tasks::testing::Guest;
use crate::template::Value;

fn argv(name: &str, args: &[(&str, Value)]) -> Vec<String> {
    let verdict = Guest::default().inspect(name, args).unwrap();
    let [Write::Run(command)] = &verdict.writes[..] else { panic!("{:?}", verdict.writes) };
    command.argv.clone()
}

#[test]
fn a_command_has_words_and_a_shell_has_a_line() {
    assert_eq!(argv("command", &[("_raw_params", "touch 'a b' $HOME/c".into())]), ["touch", "a b", "/root/c"]);
    assert_eq!(argv("command", &[("argv", vec!["echo", "a b"].into())]), ["echo", "a b"]);
    let plain = [("_raw_params", Value::from("echo $HOME")), ("expand_argument_vars", false.into())];
    assert_eq!(argv("command", &plain), ["echo", "$HOME"]);
    assert_eq!(argv("shell", &[("_raw_params", "echo $HOME | wc".into())]), ["/bin/sh", "-c", "echo $HOME | wc"]);
    let bash = [("cmd", Value::from("echo x")), ("executable", "/bin/bash".into())];
    assert_eq!(argv("shell", &bash), ["/bin/bash", "-c", "echo x"]);
}

#[test]
fn one_way_to_say_what_is_run() {
    let guest = Guest::default();
    assert!(guest.refusal("command", &[]).contains("no command given"));
    let both = [("cmd", Value::from("true")), ("argv", vec!["true"].into())];
    assert!(guest.refusal("command", &both).contains("only command or argv"));
}

#[test]
fn what_it_would_make_is_looked_for() {
    let guest = Guest { files: [("/srv/made", "")].into(), ..Guest::default() };
    let runs = |what: &str, path: &str| {
        let args = [("_raw_params", Value::from("make")), (what, path.into()), ("chdir", "/srv".into())];
        guest.inspect("command", &args).unwrap().is_changed()
    };
    assert!(!runs("creates", "/srv/made"));
    assert!(!runs("creates", "made"), "relative to where it runs");
    assert!(runs("creates", "/srv/other"));
    assert!(runs("removes", "/srv/made"));
    assert!(!runs("removes", "/srv/other"));
}

#[test]
fn in_check_mode_it_is_unknown_what_a_command_does_unless_what_it_makes_is_known() {
    let guest = Guest { check: true, ..Guest::default() };
    let failure = guest.inspect("command", &[("_raw_params", "make".into())]).unwrap_err();
    assert!(failure.is_unknown, "{failure:?}");
    let making = [("_raw_params", Value::from("make")), ("creates", "/srv/made".into())];
    let command = guest.inspect("command", &making).unwrap();
    assert!(command.unknown_result.is_some() && command.is_changed());
}

#[test]
fn waiting_for_two_things_at_once_is_refused() {
    let guest = Guest::default();
    let both = [("path", Value::from("/srv")), ("port", 80.into())];
    assert!(guest.refusal("wait_for", &both).contains("can not both be passed"));
    let stopped = [("path", Value::from("/srv")), ("state", "stopped".into())];
    assert!(guest.refusal("wait_for", &stopped).contains("state=stopped should only be used"));
}
