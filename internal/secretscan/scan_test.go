package secretscan

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// drawn is a text that looks random; equal arguments give equal texts. No
// credential stands in this file: they are put together when tests run.
func drawn(seed uint64, n int, alphabet string) string {
	r := rand.New(rand.NewPCG(seed, 7))
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[r.IntN(len(alphabet))]
	}
	return string(b)
}

const (
	digit  = "0123456789"
	lower  = "abcdefghijklmnopqrstuvwxyz"
	upper  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	hex    = "0123456789abcdef"
	base32 = upper + "234567"
	word   = lower + upper + digit
	base64 = word + "+/"
)

// examples has, by rule, texts that it finds, and others that nothing does.
func examples() map[string]struct{ found, missed []string } {
	w := func(n int) string { return drawn(uint64(n), n, word) }
	h := func(n int) string { return drawn(uint64(n), n, hex) }
	pem := func(label string) string {
		return "-----BEGIN " + label + "-----\n" + drawn(1, 64, base64) + "\n" + drawn(2, 64, base64) + "\n-----END " + label + "-----\n"
	}
	type e = struct{ found, missed []string }
	return map[string]e{
		"private-key": {[]string{pem("PRIVATE KEY"), pem("RSA PRIVATE KEY"), pem("OPENSSH PRIVATE KEY"), `{"private_key": "` + strings.ReplaceAll(pem("PRIVATE KEY"), "\n", `\n`) + `"}`},
			[]string{pem("PUBLIC KEY"), pem("ENCRYPTED PRIVATE KEY"), pem("ENCRYPTED SIGSTORE PRIVATE KEY"), pem("CERTIFICATE"), "-----BEGIN PRIVATE KEY-----\n...\n"}},
		"putty-key":             {[]string{"PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n"}, []string{"PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: aes256-cbc\n"}},
		"age-key":               {[]string{"AGE-SECRET-KEY-1" + drawn(1, 58, "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L")}, []string{"AGE-SECRET-KEY-1" + drawn(1, 40, "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L"), "age1" + drawn(1, 58, lower)}},
		"kubeconfig-key":        {[]string{"    client-key-data: " + drawn(1, 400, base64)}, []string{"    client-certificate-data: " + drawn(1, 400, base64), "client-key-data: REDACTED"}},
		"towpath-token":         {[]string{"twp_" + w(36)}, []string{"twp_" + w(35), "twp_" + w(37), "xtwp_" + w(36)}},
		"aws-access-key":        {[]string{"key = AKIA" + drawn(1, 16, base32), "ASIA" + drawn(2, 16, base32)}, []string{"AKIA" + "IOSFODNN7EXAMPLE", "AKIA" + drawn(1, 15, base32), "XAKIA" + drawn(1, 16, base32), "AKIA" + strings.Repeat("A", 16)}},
		"aws-secret-key":        {[]string{"aws_secret_access_key = " + drawn(1, 40, base64), `AWS_SECRET="` + drawn(2, 40, base64) + `"`}, []string{"aws_secret_access_key = ${SECRET}", "aws_region = us-east-1"}},
		"gcp-api-key":           {[]string{"AIza" + w(35)}, []string{"AIza" + w(34)}},
		"gcp-oauth-secret":      {[]string{"GOCSPX-" + w(28)}, []string{"GOCSPX-" + w(20)}},
		"azure-storage-key":     {[]string{"DefaultEndpointsProtocol=https;AccountKey=" + drawn(1, 86, base64) + "=="}, []string{"AccountKey=<key>;"}},
		"azure-client-secret":   {[]string{`secret: "` + "aB1" + "8Q~" + w(34) + `"`}, []string{"aB1" + "8Q~" + w(20)}},
		"digitalocean-token":    {[]string{"dop_v1_" + h(64)}, []string{"dop_v1_" + h(63)}},
		"cloudflare-origin-key": {[]string{"v1.0-" + h(24) + "-" + h(146)}, []string{"v1.0-" + h(24) + "-" + h(20)}},
		"heroku-key":            {[]string{"HRKU-" + w(36)}, []string{"HRKU-" + w(10)}},
		"tailscale-key":         {[]string{"tskey-auth-" + w(12) + "-" + w(30)}, []string{"tskey-auth-" + w(12)}},
		"pulumi-token":          {[]string{"pul-" + h(40)}, []string{"pul-" + h(39), "pull-" + h(40)}},
		"terraform-token":       {[]string{w(14) + ".atlasv1." + w(67)}, []string{w(14) + ".atlasv1." + w(20)}},
		"vault-token":           {[]string{"hvs." + w(90)}, []string{"hvs." + w(10)}},
		"doppler-token":         {[]string{"dp.pt." + w(43)}, []string{"dp.pt." + w(20)}},
		"1password-token":       {[]string{"ops_eyJ" + w(250)}, []string{"ops_eyJ" + w(50)}},
		"github-token":          {[]string{"ghp_" + w(36), "url=https://ghs_" + w(36) + "@github.com/x"}, []string{"ghp_" + w(35), "ghp_" + strings.Repeat("x", 36), "aghp_" + w(36)}},
		"github-pat":            {[]string{"github_pat_" + w(82)}, []string{"github_pat_" + w(40)}},
		"gitlab-token":          {[]string{"glpat-" + w(20), "glrt-" + w(20)}, []string{"glpat-" + w(19)}},
		"atlassian-token":       {[]string{"ATATT3" + w(186)}, []string{"ATATT3" + w(40)}},
		"npm-token":             {[]string{"npm_" + w(36)}, []string{"npm_" + w(37), "npm_config_cache_directory_of_the_builders"}},
		"npmrc-token":           {[]string{"//registry.example.org/:_authToken=" + w(32)}, []string{"//registry.example.org/:_authToken=${NPM_TOKEN}"}},
		"pypi-token":            {[]string{"pypi-AgEIcHlwaS5vcmc" + w(80)}, []string{"pypi-AgEIcHlwaS5vcmc" + w(20)}},
		"rubygems-token":        {[]string{"rubygems_" + h(48)}, []string{"rubygems_" + h(20)}},
		"dockerhub-token":       {[]string{"dckr_pat_" + w(27)}, []string{"dckr_pat_" + w(10)}},
		"docker-auth":           {[]string{`{"auths": {"r.example.org": {"auth": "` + drawn(1, 32, base64) + `"}}}`}, []string{`{"auth": "none"}`, `{"auth": "interactive-browser"}`}},
		"slack-token":           {[]string{"xoxb-" + drawn(1, 12, digit) + "-" + w(24)}, []string{"xoxb-" + w(8), "xoxb-your-token-goes-in-here"}},
		"slack-app-token":       {[]string{"xapp-1-" + drawn(1, 11, upper+digit) + "-" + drawn(2, 13, digit) + "-" + h(64)}, []string{"xapp-1-A-1-" + h(10)}},
		"slack-webhook":         {[]string{"https://hooks.slack.com/services/" + drawn(1, 44, base64)}, []string{"https://hooks.slack.com/services/T000/B000/XXXX"}},
		"discord-webhook":       {[]string{"https://discord.com/api/webhooks/" + drawn(1, 18, digit) + "/" + w(68)}, []string{"https://discord.com/api/webhooks/" + drawn(1, 18, digit)}},
		"teams-webhook":         {[]string{"https://acme.webhook.office.com/webhookb2/" + drawn(1, 120, hex+"@/-")}, []string{"https://acme.webhook.office.com/webhookb2/…"}},
		"twilio-token":          {[]string{"TWILIO_AUTH_TOKEN=" + h(32)}, []string{"TWILIO_AUTH_TOKEN=" + h(30)[:9], "twilio_version=1"}},
		"sendgrid-key":          {[]string{"SG." + w(22) + "." + w(43)}, []string{"SG." + w(22) + "." + w(20), "msg." + w(22) + "." + w(43)}},
		"mailgun-key":           {[]string{"key-" + h(32)}, []string{"key-" + h(31), "monkey-" + h(32)}},
		"stripe-key":            {[]string{"sk_live_" + w(24), "rk_live_" + w(24)}, []string{"pk_live_" + w(24), "sk_live_xxxxxxxxxxxxxxxxxxxxxxxx"}},
		"square-token":          {[]string{"sq0atp-" + w(22)}, []string{"sq0atp-" + w(10)}},
		"shopify-token":         {[]string{"shpat_" + h(32)}, []string{"shpat_" + h(31)}},
		"openai-key":            {[]string{"sk-" + w(20) + "T3BlbkFJ" + w(20), "sk-proj-" + w(74) + "T3BlbkFJ" + w(74)}, []string{w(20) + "T3BlbkFJ" + w(20)}},
		"anthropic-key":         {[]string{"sk-ant-api03-" + w(95)}, []string{"sk-ant-api03-" + w(20)}},
		"huggingface-token":     {[]string{"hf_" + drawn(1, 34, lower+upper)}, []string{"hf_" + drawn(1, 33, lower+upper), "hf_" + drawn(1, 35, lower+upper)}},
		"grafana-token":         {[]string{"glsa_" + w(32) + "_" + h(8)}, []string{"glsa_" + w(32)}},
		"newrelic-key":          {[]string{"NRAK-" + drawn(1, 27, upper+digit)}, []string{"NRAK-" + drawn(1, 20, upper+digit)}},
		"sentry-token":          {[]string{"sntrys_" + w(100)}, []string{"sntrys_" + w(20)}},
		"linear-key":            {[]string{"lin_api_" + w(40)}, []string{"lin_api_" + w(39)}},
		"databricks-token":      {[]string{"dapi" + h(32)}, []string{"dapi" + h(31), "adapi" + h(32)}},
		"planetscale-token":     {[]string{"pscale_tkn_" + w(43)}, []string{"pscale_tkn_" + w(10)}},
		"postman-key":           {[]string{"PMAK-" + h(24) + "-" + h(34)}, []string{"PMAK-" + h(24)}},
		"jwt":                   {[]string{"eyJ" + w(20) + ".eyJ" + w(60) + "." + w(43)}, []string{"eyJ" + w(20) + ".eyJ" + w(60) + "."}},
		"url-password":          {[]string{"postgres://shop:hunter2@db.example.org/shop", "DATABASE=mysql://root:" + w(12) + "@10.0.0.1"}, []string{"postgres://shop:${PASSWORD}@db.example.org", "https://example.org/a:b@c", "postgres://shop@db:5432/x", "http://user:<password>@host"}},
		"authorization-header":  {[]string{`curl -H "Authorization: Bearer ` + w(40) + `"`, "Authorization: Basic " + drawn(1, 24, base64)}, []string{"Authorization: Bearer $TOKEN", "authorization: bearer tokens are hashed at rest"}},
		"assigned-secret": {
			[]string{`password = "` + w(16) + `"`, "DB_PASSWORD: " + w(22), `"client_secret": "` + w(30) + `"`, "apiKey := `" + w(24) + "`", "API-KEY=" + h(32)},
			[]string{`password = os.Getenv("DB_PASSWORD_OF_2026")`, "password: ${components.db.password1}", "secretName: shop-database-credentials", "token: string // the bearer token", "tokens := strings.Split(text, 10)", "password = ********", "PASSWORD=changeme12", "private_key: keys/2026/builder-11.pem.enc", "next_token_2026_11: 7"},
		},
	}
}

func find(t *testing.T, text string) []string {
	t.Helper()
	got, err := Scan(t.Context(), "file", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	var rules []string
	for _, f := range got {
		rules = append(rules, f.Rule)
	}
	return rules
}

func TestScan_FindsEachFormat(t *testing.T) {
	examples := examples()
	for _, r := range all().rules {
		e, ok := examples[r.id]
		if !ok || len(e.found) == 0 || len(e.missed) == 0 {
			t.Errorf("the rule %s has no examples", r.id)
		}
		for i, text := range e.found {
			t.Run(fmt.Sprintf("%s finds %d", r.id, i+1), func(t *testing.T) {
				for _, in := range []string{text, "first\n  " + text + "\nlast", `x = "` + text + `"`} {
					if got := find(t, in); !slices.Contains(got, r.id) {
						t.Errorf("found %q in %q", got, in)
					}
				}
			})
		}
		for i, text := range e.missed {
			t.Run(fmt.Sprintf("%s lets pass %d", r.id, i+1), func(t *testing.T) {
				if got := find(t, text); len(got) > 0 {
					t.Errorf("found %q in %q", got, text)
				}
			})
		}
	}
	if len(examples) != len(all().rules) {
		t.Errorf("%d rules and %d examples", len(all().rules), len(examples))
	}
}

func TestScan_SaysWhere(t *testing.T) {
	token := "ghp_" + drawn(1, 36, word)
	got, err := Scan(t.Context(), "api/config.yaml", strings.NewReader("one\ntwo: "+token+"\n\nfour: "+token+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []Finding{
		{Rule: "github-token", Description: "a GitHub token", File: "api/config.yaml", Line: 2},
		{Rule: "github-token", Description: "a GitHub token", File: "api/config.yaml", Line: 4},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if s := got[0].String(); s != "api/config.yaml:2: a GitHub token (github-token)" || strings.Contains(fmt.Sprintf("%+v %#v", got, got), token) {
		t.Errorf("it says %s", s)
	}
}

func TestScan_BinaryFiles(t *testing.T) {
	token := "ghp_" + drawn(1, 36, word)
	got, err := Scan(t.Context(), "bin/api", strings.NewReader("\x7fELF\x00\n\n"+token+"\x00password = "+drawn(2, 20, word)))
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got[0].Rule != "github-token" || got[0].Line != 0 || got[0].String() != "bin/api: a GitHub token (github-token)" {
		t.Errorf("found %v", got)
	}
}

func TestScan_IsBounded(t *testing.T) {
	var b strings.Builder
	for i := range 10_000 {
		b.WriteString("k: ghp_" + drawn(uint64(i), 36, word) + "\n")
	}
	if got := find(t, b.String()); len(got) != maxFindings {
		t.Errorf("%d findings", len(got))
	}
}

func TestScan_Errors(t *testing.T) {
	if _, err := Scan(t.Context(), "f", iotest.ErrReader(io.ErrClosedPipe)); err == nil {
		t.Error("a file that can't be read is clean")
	}
}

// whole finds without pieces: every text in the whole file at once.
func whole(text []byte) []Finding {
	s := newScan("f")
	s.binary = bytes.IndexByte(text[:min(len(text), sniffed)], 0) >= 0
	s.rules.literals.find(text, func(at, rule int) { s.look(text, at, rule) })
	return s.result()
}

// sliced reads so many bytes at a time.
func sliced(t interface{ Fatal(...any) }, text []byte, size int) []Finding {
	got, err := newScan("f").run(context.Background(), bytes.NewReader(text), size)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestScan_FindsTheSameInPieces(t *testing.T) {
	var all []string
	for _, e := range examples() {
		all = append(all, e.found...)
	}
	slices.Sort(all)
	rapid.Check(t, func(t *rapid.T) {
		var b []byte
		for range rapid.IntRange(0, 12).Draw(t, "parts") {
			b = append(b, rapid.SampledFrom(append(all, "\n", " ", "\x00", strings.Repeat("a", 700), strings.Repeat("password", 30), "\n\n")).Draw(t, "part")...)
		}
		size := rapid.IntRange(1, 3000).Draw(t, "size")
		if diff := cmp.Diff(whole(b), sliced(t, b, size)); diff != "" {
			t.Fatalf("whole and in pieces of %d (-whole +pieces):\n%s", size, diff)
		}
	})
}

func FuzzScan(f *testing.F) {
	for _, e := range examples() {
		f.Add([]byte(e.found[0]), 64)
	}
	f.Fuzz(func(t *testing.T, text []byte, size int) {
		if size < 1 || size > 1<<16 || len(text) > 1<<16 {
			return
		}
		if diff := cmp.Diff(whole(text), sliced(t, text, size)); diff != "" {
			t.Fatalf("whole and in pieces of %d:\n%s", size, diff)
		}
	})
}

// tree is what a project of several languages has, as one text.
func tree() []byte {
	r := rand.New(rand.NewPCG(1, 2))
	words := strings.Fields("func return error if err nil context package import string token password secret key value config client server http json for range struct type const var the of and to in is that it for as with be by on not this are or")
	var b bytes.Buffer
	for b.Len() < 16<<20 {
		switch r.IntN(8) {
		case 0: // minified
			for range 400 {
				fmt.Fprintf(&b, "var %s=%d;", words[r.IntN(len(words))], r.IntN(1e6))
			}
		case 1: // a lock file
			fmt.Fprintf(&b, "\"integrity\": \"sha512-%s==\",\n", drawn(r.Uint64(), 86, base64))
		default:
			for range 12 {
				b.WriteString(words[r.IntN(len(words))])
				b.WriteByte(" \t(.:=\n"[r.IntN(7)])
			}
			b.WriteByte('\n')
		}
	}
	return b.Bytes()
}

func BenchmarkScan(b *testing.B) {
	for name, text := range map[string][]byte{"text": tree(), "binary": append([]byte{0}, bytes.Repeat([]byte(drawn(3, 4096, word+"\x00\x01\x02\xff")), 4096)...)} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if _, err := Scan(b.Context(), "f", bytes.NewReader(text)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
