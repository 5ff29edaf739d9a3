//! `network_acls`: network ACLs.
//!
//! ```yaml
//! network_acls:
//!   web:
//!     ingress: [{action: allow, protocol: tcp, destination_port: "443", state: logged}]
//!     egress: []
//!     config: {}
//! ```
//!
//! `ingress` and `egress` are each owned whole once declared. A rule without `state` is `enabled`.
//! Always written by PUT: a PATCH without rules deletes all of them, and one without config crashes LXD.

use std::rc::Rc;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::declare::check_hostname;
use super::options::{self, Entity};
use super::{Declared, Decode, Kind, Place, Wanted};
use crate::diagnostic::Diagnostic;
use crate::model::Path;
use crate::tree::{self, Node, Settings, Spanned, Text};

/// The kind.
#[derive(Debug)]
pub struct NetworkAcl;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Body {
    /// The rules for what comes in; owned whole once declared.
    ingress: Option<Spanned<Vec<Rule>>>,
    /// The rules for what goes out; owned whole once declared.
    egress: Option<Spanned<Vec<Rule>>>,
    /// The user's own keys, `user.*`.
    #[serde(default)]
    #[schemars(schema_with = "super::schema::acl_config")]
    config: Settings,
}

/// A rule of an ACL.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "rule")]
struct Rule {
    /// What happens to what the rule is about.
    action: Action,
    /// `enabled` (default), `disabled` or `logged`.
    state: Option<State>,
    /// For people.
    description: Option<Text>,
    /// Addresses (CIDR or ranges), ACL names, `@internal` or `@external`, comma-separated.
    source: Option<Text>,
    /// The same, of where it goes.
    destination: Option<Text>,
    /// Of any protocol where it is not said.
    protocol: Option<Protocol>,
    /// Ports or ranges, comma-separated; of tcp and udp.
    source_port: Option<Spanned<Text>>,
    /// Ports or ranges, comma-separated; of tcp and udp.
    destination_port: Option<Spanned<Text>>,
    /// The ICMP type; of icmp4 and icmp6.
    icmp_type: Option<Spanned<Text>>,
    /// The ICMP code; of icmp4 and icmp6.
    icmp_code: Option<Spanned<Text>>,
}

#[derive(Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
enum Action {
    Allow,
    AllowStateless,
    Drop,
    Reject,
}

#[derive(Clone, Copy, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum State {
    #[default]
    Enabled,
    Disabled,
    Logged,
}

#[derive(Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum Protocol {
    Tcp,
    Udp,
    Icmp4,
    Icmp6,
}

impl Rule {
    fn to_json(&self) -> Value {
        let mut rule = serde_json::Map::new();
        rule.insert("action".into(), serde_json::to_value(self.action).unwrap_or_default());
        rule.insert("state".into(), serde_json::to_value(self.state.unwrap_or_default()).unwrap_or_default());
        if let Some(protocol) = self.protocol {
            rule.insert("protocol".into(), serde_json::to_value(protocol).unwrap_or_default());
        }
        for (key, text) in [
            ("description", self.description.as_ref()),
            ("source", self.source.as_ref()),
            ("destination", self.destination.as_ref()),
            ("source_port", self.source_port.as_ref().map(|text| &text.value)),
            ("destination_port", self.destination_port.as_ref().map(|text| &text.value)),
            ("icmp_type", self.icmp_type.as_ref().map(|text| &text.value)),
            ("icmp_code", self.icmp_code.as_ref().map(|text| &text.value)),
        ] {
            if let Some(text) = text {
                rule.insert(key.into(), text.0.clone().into());
            }
        }
        Value::Object(rule)
    }
}

impl Rule {
    /// LXD's rule: ports are of TCP and UDP, types and codes of ICMP.
    fn check(&self, out: &mut Vec<Diagnostic>) {
        let is_icmp = matches!(self.protocol, Some(Protocol::Icmp4 | Protocol::Icmp6));
        let has_ports = matches!(self.protocol, Some(Protocol::Tcp | Protocol::Udp));
        for (key, text, is_right, protocols) in [
            ("source_port", &self.source_port, has_ports, "tcp or udp"),
            ("destination_port", &self.destination_port, has_ports, "tcp or udp"),
            ("icmp_type", &self.icmp_type, is_icmp, "icmp4 or icmp6"),
            ("icmp_code", &self.icmp_code, is_icmp, "icmp4 or icmp6"),
        ] {
            if let Some(text) = text.as_ref().filter(|_| !is_right) {
                let message = format!("`{key}` needs the protocol {protocols}");
                out.push(
                    Diagnostic::error(text.span, message)
                        .help(format!("add `protocol:` {protocols}, or take `{key}` away")),
                );
            }
        }
    }
}

impl Kind for NetworkAcl {
    fn section(&self) -> &'static str {
        "network_acls"
    }

    fn noun(&self) -> &'static str {
        "network ACL"
    }

    fn place(&self) -> Place {
        Place::Project { feature: Some(("features.networks", false)) }
    }

    fn collection(&self) -> &'static str {
        "network-acls"
    }

    fn decode(&self, body: &Rc<Node>, cx: &mut Decode<'_>) -> Option<Declared> {
        let body: Body = tree::decode_part(body, super::COMMON_KEYS, cx.diagnostics).0?;
        let mut fields = cx.common_fields();
        for (name, rules) in [("ingress", &body.ingress), ("egress", &body.egress)] {
            if let Some(rules) = rules {
                rules.value.iter().for_each(|rule| rule.check(cx.diagnostics));
                let value = rules.value.iter().map(Rule::to_json).collect();
                fields.insert(Path::field(name), Wanted { value, sensitive: rules.sensitive, span: rules.span });
            }
        }
        cx.config(&mut fields, "config", &Entity::NetworkAcl, &body.config);
        Some(Declared::plain(fields, Arc::new(())))
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Body::json_schema(generator)
    }

    fn check_name(&self, name: &str) -> Result<(), String> {
        check_hostname(name, "network ACL")
    }

    /// LXD takes the spaces out of ports and subjects and leaves out empty keys.
    fn canonical(&self, path: &Path, value: &Value) -> String {
        let Value::Array(rules) = value else {
            return options::canonical(&Entity::NetworkAcl, path, value);
        };
        let rules: Value = rules
            .iter()
            .filter_map(Value::as_object)
            .map(|rule| {
                let keys = rule.iter().map(|(key, value)| {
                    let text = value.as_str().unwrap_or_default();
                    let text = if key == "description" { text.to_owned() } else { text.replace(' ', "") };
                    (key.clone(), Value::String(text))
                });
                keys.filter(|(_, value)| value != "").collect::<std::collections::BTreeMap<_, _>>()
            })
            .map(|rule| serde_json::to_value(rule).unwrap_or_default())
            .collect();
        rules.to_string()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rules_as_lxd_gives_them_back_are_the_same() {
        let path = Path::field("ingress");
        let wanted = json!([{"action": "allow", "state": "enabled", "destination_port": "80, 443", "protocol": "tcp"}]);
        let live = json!([{"protocol": "tcp", "action": "allow", "destination_port": "80,443", "state": "enabled", "source": ""}]);
        assert!(NetworkAcl.same(&path, &wanted, &live));
        assert!(!NetworkAcl.same(&path, &wanted, &json!([])));
    }
}
