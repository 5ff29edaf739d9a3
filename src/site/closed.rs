//! What is encrypted: opened where secrets are read, stood in for where they are not.

use std::rc::Rc;

use super::SecretMode;
use super::scope::{Scope, Slot};
use crate::diagnostic::Diagnostic;
use crate::secrets::{self, Keys};
use crate::template::Variable;
use crate::tree::Node;

impl Scope {
    /// A file of variables is encrypted, and secrets are not read.
    pub fn set_closed(&self) {
        self.is_closed.set(true);
    }

    /// Stands in for an input that may be in a closed file; false where there is none.
    pub fn set_placeholder(&self, name: &str) -> bool {
        if self.is_closed.get() {
            let variable = Variable { value: "(secret)".into(), sensitive: true };
            self.variables.borrow_mut().insert(name.to_owned(), Slot::Rendered(variable));
        }
        self.is_closed.get()
    }

    /// What opens encrypted files; `None` where secrets are not read.
    pub fn keys(&self) -> Option<&Keys> {
        (self.mode == SecretMode::Read).then_some(&*self.keys)
    }

    /// Everything in a node is a secret.
    pub fn mask_node(&self, node: &Node) {
        if node.sensitive {
            self.mask(&node.to_json());
        }
    }

    /// The text of a `!vault` value; without keys what stands in for it.
    pub(super) fn decrypted(&self, node: &Node, out: &mut Vec<Diagnostic>) -> Option<Rc<Node>> {
        let text = node.as_str().unwrap_or_default();
        let Some(keys) = self.keys() else {
            return Some(Node::from_json(&"(secret)".into(), node.span, true));
        };
        match secrets::decrypt_value(text, keys) {
            Ok(text) => {
                self.masker.borrow_mut().add(&text);
                Some(Node::from_json(&text.into(), node.span, true))
            }
            Err(reason) => {
                let message = format!("this value cannot be decrypted: {reason}");
                out.push(
                    Diagnostic::error(node.span, message).help("`lxdeploy validate` needs no key; plan and apply do"),
                );
                None
            }
        }
    }
}
