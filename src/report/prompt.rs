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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_yes() {
        for (answer, is_yes) in [("yes\n", true), (" yes \n", true), ("y\n", false), ("YES\n", false), ("", false)] {
            assert_eq!(confirm("Sure?", &mut answer.as_bytes(), &mut Vec::new()).unwrap(), is_yes, "{answer:?}");
        }
    }
}
