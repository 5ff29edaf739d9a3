//! How a guest fetches what is behind a URL: by whatever it has.

/// `read_request` reads URL, whether certificates are checked, USER:PASSWORD and headers, a line each; `download FILE`
/// fetches it (`-` is stdout). Nothing secret is on a command line where curl or python3 does it. `$5` is the limit.
pub const DOWNLOAD: &str = r#"
limit=${5:-10}
read_request() {
    request=$(cat)
    url=$(printf '%s\n' "$request" | sed -n 1p); checks=$(printf '%s\n' "$request" | sed -n 2p)
    user=$(printf '%s\n' "$request" | sed -n 3p); headers=$(printf '%s\n' "$request" | sed -n '4,$p')
}
quoted() { printf '%s' "$1" | sed 's/[\\"]/\\&/g'; }
download() {
    if command -v curl >/dev/null 2>&1; then
        {
            printf 'url = "%s"\n' "$(quoted "$url")"
            [ -z "$user" ] || printf 'user = "%s"\n' "$(quoted "$user")"
            [ "$checks" = true ] || echo insecure
            printf '%s\n' "$headers" | while IFS= read -r header; do
                [ -z "$header" ] || printf 'header = "%s"\n' "$(quoted "$header")"
            done
        } | curl -fsSL --connect-timeout "$limit" -K - -o "$1"
    elif command -v python3 >/dev/null 2>&1; then
        printf '%s\n' "$request" | python3 -c '
import base64, ssl, sys, urllib.request
lines = sys.stdin.read().split("\n"); url, checks, user, headers = lines[0], lines[1], lines[2], lines[3:]
context = ssl.create_default_context()
if checks != "true": context.check_hostname = False; context.verify_mode = ssl.CERT_NONE
request = urllib.request.Request(url)
for header in headers:
    if ":" in header: request.add_header(*[part.strip() for part in header.split(":", 1)])
if user: request.add_header("Authorization", "Basic " + base64.b64encode(user.encode()).decode())
answer = urllib.request.urlopen(request, timeout=int(sys.argv[2]), **({"context": context} if url.startswith("https") else {}))
out = sys.stdout.buffer if sys.argv[1] == "-" else open(sys.argv[1], "wb")
while True:
    piece = answer.read(1 << 16)
    if not piece: break
    out.write(piece)
' "$1" "$limit"
    elif command -v wget >/dev/null 2>&1; then
        [ -z "$user$headers" ] || { echo "headers and credentials need curl or python3 in the guest" >&2; return 1; }
        if [ "$checks" = true ]; then wget -q -T "$limit" -O "$1" "$url"; else wget -q -T "$limit" --no-check-certificate -O "$1" "$url"; fi
    elif [ -x /usr/lib/apt/apt-helper ] && [ -z "$user$headers" ]; then
        fetched=$1; [ "$1" != - ] || fetched=$(mktemp) || return 1
        rm -f -- "$fetched"
        /usr/lib/apt/apt-helper -q download-file "$url" "$fetched" >&2 || return 1
        [ "$1" != - ] || { cat -- "$fetched"; rm -f -- "$fetched"; }
    else echo "the guest has no curl, python3 or wget to fetch $url with" >&2; return 127; fi
}"#;
