use std::io::{self, BufRead, Write};

/// Asks, and takes only `yes` for a yes.
///
/// # Errors
/// Reading or writing fails.
pub fn confirm(question: &str, input: &mut dyn BufRead, output: &mut dyn Write) -> io::Result<bool> {
    write!(output, "{question}\nOnly `yes` is accepted: ")?;
    output.flush()?;
    let mut answer = String::new();
    input.read_line(&mut answer)?;
    Ok(answer.trim() == "yes")
}

/// Shows a server's fingerprint and asks whether it is right. `yes`, `y` and the fingerprint itself are a yes.
///
/// # Errors
/// Reading or writing fails.
pub fn trusts(url: &str, fingerprint: &str, input: &mut dyn BufRead, output: &mut dyn Write) -> io::Result<bool> {
    write!(
        output,
        "{url} shows a certificate with the SHA-256 fingerprint\n  {fingerprint}\n\
         Compare it with what the server says of itself (`lxc info | grep fingerprint`).\n\
         Is it the same (yes, no, or the fingerprint)? "
    )?;
    output.flush()?;
    let mut answer = String::new();
    input.read_line(&mut answer)?;
    let answer = answer.trim().to_lowercase();
    Ok(matches!(answer.as_str(), "y" | "yes") || answer.replace(':', "") == fingerprint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_yes() {
        for (answer, is_yes) in [("yes\n", true), (" yes \n", true), ("y\n", false), ("YES\n", false), ("", false)] {
            assert_eq!(confirm("Sure?", &mut answer.as_bytes(), &mut Vec::new()).unwrap(), is_yes, "{answer:?}");
        }
    }

    #[test]
    fn a_fingerprint_is_agreed_to_by_yes_or_by_itself() {
        let cases = [
            ("y\n", true),
            ("yes\n", true),
            ("AB:cd\n", true),
            ("abce\n", false),
            ("n\n", false),
            ("", false),
            ("\n", false),
        ];
        for (answer, is_yes) in cases {
            let mut output = Vec::new();
            assert_eq!(
                trusts("https://a:8443", "abcd", &mut answer.as_bytes(), &mut output).unwrap(),
                is_yes,
                "{answer:?}"
            );
            assert!(String::from_utf8(output).unwrap().contains("abcd"));
        }
    }
}
