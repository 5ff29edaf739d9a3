//! What the platform is for.

use serde_json::{Value, json};

use crate::bed::{DOMAIN, NET, platform};

#[test]
fn a_valid_token_is_let_in_and_no_token_is_not() {
    let platform = platform();
    let (status, _) = platform.get("/api/whoami", None);
    assert_eq!(status, 401);
    // A client's own way: its id and secret for a token.
    let secrets = std::fs::read_to_string(platform.path(".local/state/lxdeploy/local.secrets.yaml")).unwrap();
    let secrets: Value = serde_yaml::from_str(&secrets).unwrap();
    let form = format!(
        "grant_type=client_credentials&client_id=trial&client_secret={}&scope=api://standard/.default",
        secrets["trial_client_secret"]["value"].as_str().unwrap()
    );
    let url = "https://issuer.lxd:8443/trial/oauth2/v2.0/token";
    let token: Value = platform.runtime.block_on(async {
        let request = platform.http.post(url).header("Content-Type", "application/x-www-form-urlencoded").body(form);
        request.send().await.unwrap().json().await.unwrap()
    });
    let (status, body) = platform.get("/api/whoami", token["access_token"].as_str());
    assert_eq!(status, 200, "{body}");
    let claims = &body["claims"];
    assert!(claims["sub"].is_string() && (claims["azp"].is_string() || claims["appid"].is_string()), "{body}");
    assert_eq!(platform.get("/healthz", None), (200, json!({"status": "ok"})));
}

#[test]
fn refusals_and_redirects_are_what_clients_expect() {
    let platform = platform();
    platform.runtime.block_on(async {
        let refused = platform.http.get(format!("https://{DOMAIN}:{}/api/whoami", platform.port)).send().await.unwrap();
        let header = |name: &str| refused.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        assert!(header("www-authenticate").unwrap().starts_with("Bearer"), "{:?}", refused.headers());
        for name in ["strict-transport-security", "x-content-type-options", "content-security-policy"] {
            assert_eq!(refused.headers().get_all(name).iter().count(), 1, "{name}: {:?}", refused.headers());
        }
        assert!(header("cache-control").unwrap().contains("no-store"));
        assert_eq!(header("server").as_deref(), Some("Apache"));
        // In the clear there is only the way to TLS.
        let plain =
            platform.http.get(format!("http://{NET}.12/api/whoami")).header("Host", DOMAIN).send().await.unwrap();
        assert!(plain.status().is_redirection(), "{plain:?}");
        assert!(plain.headers()["location"].to_str().unwrap().starts_with(&format!("https://{DOMAIN}")), "{plain:?}");
        // Another host is nobody's.
        let url = format!("https://{DOMAIN}:{}/healthz", platform.port);
        let foreign = platform.http.get(url).header("Host", "evil.example").send().await.unwrap();
        assert!([400, 403, 421].contains(&foreign.status().as_u16()), "{foreign:?}");
    });
}

#[test]
fn the_softwares_own_tests_pass_where_it_runs() {
    let platform = platform();
    let run = |instance: &str, script: &str| {
        let said = platform.try_inside(instance, &["sh", "-c", script], None);
        assert_eq!(said.code, Some(0), "{}\n{}", said.stdout, said.stderr);
        assert!(said.stderr.contains("\nOK\n"), "a test was skipped, or none was run: {}", said.stderr);
    };
    // Some of them need a memcached of their own, which no instance of the API has.
    platform.inside(
        "api-1",
        &[
            "sh",
            "-c",
            "apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y memcached >/dev/null 2>&1",
        ],
    );
    run("api-1", "cd /usr/local/lib/api && python3 -B manage.py test");
    platform.inside("api-1", &["sh", "-c", "apt-get -qq purge -y memcached >/dev/null 2>&1"]);
    run("issuer", "python3 -B -m unittest discover -s /usr/local/lib/issuer");
}

#[test]
fn docker_runs_inside_of_an_instance_of_its_own() {
    let platform = platform();
    let page =
        "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:8080/', timeout=10).read().decode())";
    let said = || platform.try_inside("docker", &["python3", "-c", page], None).stdout;
    platform.until("a page from a container in Docker", 30, || said().contains("hello from Docker in LXD"));
    assert_eq!(platform.inside("docker", &["docker", "info", "--format", "{{.Driver}}"]).trim(), "overlay2");
}

#[test]
fn applied_again_nothing_changes_and_nothing_is_restarted() {
    let platform = platform();
    let begun = |unit: &str, instance: &str| {
        platform.inside(instance, &["systemctl", "show", "--property=ActiveEnterTimestampMonotonic", unit])
    };
    let all = || {
        [
            ("memcached", "memcached"),
            ("api", "api-1"),
            ("api", "api-2"),
            ("apache2", "identity-proxy"),
            ("issuer", "issuer"),
        ]
        .map(|(unit, instance)| begun(unit, instance))
    };
    let before = all();
    let said = platform.apply(&[]);
    assert!(said.stdout.starts_with("No changes."), "{}", said.stdout);
    let recaps: Vec<&str> = said.stderr.lines().filter(|line| line.contains(" : ok=")).collect();
    assert!(recaps.len() >= 6 && recaps.iter().all(|line| line.contains(" changed=0 ")), "{recaps:?}");
    assert_eq!(all(), before);
    println!("applied again: {}", said.stderr.lines().last().unwrap_or_default());
}
