//! Who is kept out.

use serde_json::Value;

use crate::bed::{DOMAIN, NET, platform, root};

/// What came back for each attack is a refusal: 401, or 400, 413 or 431 where a request is beyond the server's limits.
#[track_caller]
fn assert_refused(of: &str, said: &str) {
    let said: Value = serde_json::from_str(said).unwrap();
    let wrong: Vec<String> = said["refused"]
        .as_object()
        .unwrap()
        .iter()
        .filter(|(_, status)| ![401, 400, 413, 431].contains(&status.as_u64().unwrap()))
        .map(|(attack, status)| format!("{attack}: {status}"))
        .collect();
    assert!(said["refused"].as_object().unwrap().len() > 40);
    assert!(wrong.is_empty(), "{of}: {}", wrong.join(", "));
    assert_eq!((&said["good"], &said["healthz"]), (&200.into(), &200.into()), "{of}");
}

#[test]
fn bad_tokens_are_refused_at_the_proxy_and_at_the_api() {
    let platform = platform();
    let tokens = platform.tokens().to_string();
    let said = platform.python("identity-proxy", "attacks.py", &["127.0.0.1", "443", DOMAIN], &tokens);
    assert_refused("the proxy", &said);
    let said = platform.python("identity-proxy", "attacks.py", &["api-1.lxd", "8443", "api-1.lxd"], &tokens);
    assert_refused("the API", &said);
}

#[test]
fn made_up_keys_do_not_reach_the_provider() {
    let platform = platform();
    platform.issuer("stats/reset", "{}");
    for number in 0..40 {
        let token = platform.mint(&format!(r#"{{"key": "stranger", "header": {{"kid": "made-up-{number}"}}}}"#));
        assert_eq!(platform.get("/api/whoami", Some(&token)).0, 401);
    }
    let fetched = platform.issuer("stats", "")["keys_fetched"].as_u64().unwrap();
    println!("40 made-up kids: {fetched} fetches");
    assert!(fetched <= 5, "{fetched} fetches");
}

#[test]
fn nobody_else_reaches_what_is_inside() {
    let platform = platform();
    let connect = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=2)";
    let reaches = |from: &str, to: &str, port: &str| {
        platform.try_inside(from, &["python3", "-c", connect, to, port], None).code == Some(0)
    };
    let (memcached, api) = (format!("{NET}.10"), format!("{NET}.21"));
    assert!(reaches("api-1", &memcached, "11211") && reaches("api-2", &memcached, "11211"));
    assert!(reaches("identity-proxy", &api, "8443"));
    for from in ["issuer", "identity-proxy", "docker"] {
        assert!(!reaches(from, &memcached, "11211"), "{from} reaches memcached");
    }
    for from in ["issuer", "memcached", "api-2", "docker"] {
        assert!(!reaches(from, &api, "8443"), "{from} reaches the API");
    }
    // And neither does this machine, which is on the bridge itself.
    for address in [format!("{memcached}:11211"), format!("{api}:8443")] {
        let address = address.parse().unwrap();
        assert!(
            std::net::TcpStream::connect_timeout(&address, std::time::Duration::from_secs(2)).is_err(),
            "{address}"
        );
    }
}

#[test]
fn forged_cache_entries_are_not_believed() {
    let platform = platform();
    let good = platform.mint("{}");
    assert_eq!(platform.get("/api/whoami", Some(&good)).0, 200);
    let stranger = platform.mint(r#"{"key": "stranger"}"#);
    // Whoever may write there (the API's own instances can) writes over all that is there, and what is left is no
    // authority: a pickle that would make a file, and a text that names another key.
    for forged in
        ["b\"cos\\nsystem\\n(S'touch /tmp/executed'\\ntR.\"", "b'{\"keys\": []}'", "b'\\xff\\xfe'", "b'x' * 100000"]
    {
        let script = format!(
            "import pymemcache\nclient = pymemcache.Client(('{NET}.10', 11211))\nnames = set()\n\
             for line in client.stats('items'):\n    pass\n\
             import re, socket\nsock = socket.create_connection(('{NET}.10', 11211)); sock.sendall(b'lru_crawler metadump all\\r\\n')\n\
             text = b''\nwhile not text.endswith(b'END\\r\\n'):\n    text += sock.recv(65536)\n\
             names = re.findall(rb'key=(\\S+)', text)\nimport urllib.parse\n\
             [client.set(urllib.parse.unquote(name.decode()), {forged}) for name in names]\nprint(len(names))"
        );
        let written: usize = platform.inside("api-1", &["python3", "-c", &script]).trim().parse().unwrap();
        assert!(written > 0, "there is nothing in memcached");
        platform.inside("api-1", &["systemctl", "restart", "api"]); // nothing is left in its processes
        platform.until("the API is back", 30, || platform.get_directly("api-1", "/healthz", "x") == 200);
        assert_eq!(platform.get_directly("api-1", "/api/whoami", &stranger), 401, "{forged}");
        assert_eq!(platform.get_directly("api-1", "/api/whoami", &good), 200, "{forged}");
    }
    let executed = platform.try_inside("api-1", &["find", "/", "-xdev", "-name", "executed"], None);
    assert_eq!(executed.stdout, "");
}

#[test]
fn headers_that_say_who_is_calling_do_not_reach_the_api() {
    let platform = platform();
    let token = platform.mint("{}");
    let program = std::fs::read_to_string(root().join("tests/platform/echo.py")).unwrap();
    let units = |verb: &str| {
        for instance in ["api-1", "api-2"] {
            platform.inside(instance, &["systemctl", verb, "api"]);
        }
    };
    // In the API's place stands who says what reached it.
    units("stop");
    for instance in ["api-1", "api-2"] {
        let run = ["systemd-run", "--quiet", "--unit=echo", "--property=Restart=on-failure"];
        let echo = ["/usr/bin/python3", "-c", &program, "/etc/api/tls.pem", "8443"];
        platform.inside(instance, &[&run[..], &echo[..]].concat());
    }
    platform.until("the echo answers", 30, || platform.get("/api/whoami", Some(&token)).0 == 200);
    const SPOOFED: &[&str] = &[
        "Remote-User",
        "Remote_User",
        "X-Remote-User",
        "X-Forwarded-User",
        "X-Auth-Request-User",
        "OIDC_CLAIM_sub",
        "OIDC-CLAIM-sub",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "Forwarded",
    ];
    let said: Vec<(String, String)> = platform.runtime.block_on(async {
        let mut request =
            platform.http.get(format!("https://{DOMAIN}:{}/api/whoami", platform.port)).bearer_auth(&token);
        for name in SPOOFED {
            request = request.header(*name, "spoofed");
        }
        request.send().await.unwrap().json().await.unwrap()
    });
    for instance in ["api-1", "api-2"] {
        platform.inside(instance, &["systemctl", "stop", "echo"]);
    }
    units("start");
    platform.until("the API is back", 30, || platform.get("/api/whoami", Some(&token)).0 == 200);
    let leaked: Vec<_> = said.iter().filter(|(_, value)| value.contains("spoofed")).collect();
    assert!(leaked.is_empty(), "{leaked:?}");
    let of = |name: &str| {
        said.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(of("x-forwarded-proto"), ["https"]);
    assert_eq!(of("authorization"), [format!("Bearer {token}")], "the API verifies it again");
}
