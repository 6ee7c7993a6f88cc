package secretscan_test

import (
	"encoding/base64"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/access"
	"github.com/towpath/towpath/internal/secretscan"
)

// Every credential here is made up while the test runs: the repository itself
// has none, and passes its own scanner.

const (
	digits = "0123456789"
	hex    = digits + "abcdef"
	upper  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	alpha  = upper + "abcdefghijklmnopqrstuvwxyz"
	word   = alpha + digits
	base   = word + "+/"
)

// made is n letters of an alphabet that look random and are always the same.
func made(alphabet string, n int) string {
	random := rand.New(rand.NewPCG(uint64(n), uint64(len(alphabet)))) //nolint:gosec // it is to repeat
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[random.IntN(len(alphabet))]
	}
	return string(b)
}

type sample struct {
	finds, passes []string
}

// pem is a private key of a kind with its body's lines.
func pem(kind, body string) string {
	return "-----BEGIN " + kind + "-----\n" + body + "\n-----END " + kind + "-----\n"
}

func login(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
}

func samples(t *testing.T) map[string]sample {
	t.Helper()
	own, _, err := access.NewToken(strings.NewReader(made(word, 200)))
	if err != nil {
		t.Fatal(err)
	}
	in64 := base64.StdEncoding.EncodeToString([]byte(pem("RSA PRIVATE"+" KEY", made(base, 64))))
	return map[string]sample{
		"aws-access-key":        one("AK"+"IA"+made("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16), "AK"+"IA"+made(upper, 15), "xAK"+"IA"+made(upper, 16), "AK"+"IAIOSFODNN7"+"EXAMPLE"),
		"aws-secret-key":        one("aws_secret_"+"access_key = "+made(base, 40), "aws_secret_"+"access_key = "+made(base, 39), "secret_"+"access_key: "+strings.Repeat("a", 40)),
		"azure-client-secret":   one("x = "+made(word, 3)+"8"+"Q~"+made(word, 34), made(word, 3)+"a"+"Q~"+made(word, 34)),
		"azure-storage-key":     one("Account"+"Key="+made(base, 86)+"==", "Account"+"Key="+made(base, 20)+"=="),
		"cloudflare-origin-ca":  one("v1.0-"+made(hex, 24)+"-"+made(hex, 146), "v1.0-"+made(hex, 24)+"-"+made(hex, 20)),
		"databricks-token":      one("da"+"pi"+made(hex, 32), "da"+"pi"+made(hex, 31), "da"+"pi"+made("ghijkl", 32)),
		"digitalocean-token":    one("dop_"+"v1_"+made(hex, 64), "dop_"+"v1_"+made(hex, 63)),
		"flyio-token":           one("fo"+"1_"+made(word, 43), "fo"+"1_"+made(word, 20)),
		"gcp-api-key":           one("AI"+"za"+made(word, 35), "AI"+"za"+made(word, 34), "AI"+"za"+made(word, 36)),
		"gcp-oauth-secret":      one("GOC"+"SPX-"+made(word, 28), "GOC"+"SPX-"+made(word, 12)),
		"gcp-access-token":      one("ya"+"29."+made(word, 60), "ya"+"29."+made(word, 20)),
		"gcp-service-account":   one(`"private_`+`key_id": "`+made(hex, 40)+`"`, `"private_`+`key_id": "`+made(hex, 39)+`"`),
		"heroku-key":            one("HRKU"+"-AA"+made(word, 58), "HRKU"+"-AA"+made(word, 40)),
		"planetscale-secret":    one("pscale_"+"pw_"+made(word, 43), "pscale_"+"pw_"+made(word, 12)),
		"pulumi-token":          one("pu"+"l-"+made(hex, 40), "pu"+"l-"+made(hex, 39)),
		"terraform-cloud-token": one(made(word, 14)+".atlas"+"v1."+made(word, 64), made(word, 13)+".atlas"+"v1."+made(word, 64)),
		"towpath-token":         one(own, own[:len(own)-1]+"!", own[:20]+strings.Repeat("A", 20)),
		"vault-token":           one("hv"+"s."+made(word, 95), "hv"+"s."+made(word, 24)),

		"artifactory-key":           one("AK"+"Cp"+made(word, 69), "AK"+"Cp"+made(word, 60)),
		"crates-io-token":           one("c"+"io"+made(word, 32), "c"+"io"+made(word, 31), "spec"+"io"+made(word, 32)),
		"dockerhub-token":           one("dckr_"+"pat_"+made(word, 27), "dckr_"+"pat_"+made(word, 20)),
		"github-fine-grained-token": one("github_"+"pat_"+made(word, 22)+"_"+made(word, 59), "github_"+"pat_"+made(word, 22)+"_"+made(word, 40)),
		"github-token":              one("gh"+"p_"+made(word, 36), "gh"+"p_"+made(word, 35), "gh"+"p_"+strings.Repeat("x", 36), "GH"+"P_"+made(word, 36)),
		"gitlab-token":              one("gl"+"pat-"+made(word, 20), "gl"+"pat-"+made(word, 12)),
		"npm-token":                 one("np"+"m_"+made(word, 36), "np"+"m_"+made(word, 30), "np"+"m_config_cache"),
		"nuget-key":                 one("oy"+"2"+made("abcdefghijklmnop"+digits, 43), "oy"+"2"+made(hex, 40)),
		"pypi-token":                one("pypi"+"-AgE"+made(word, 80), "pypi"+"-AgE"+made(word, 30)),
		"rubygems-key":              one("ruby"+"gems_"+made(hex, 48), "ruby"+"gems_"+made(hex, 30)),

		"anthropic-key":     one("sk-"+"ant-api03-"+made(word, 93), "sk-"+"ant-api03-"+made(word, 20)),
		"atlassian-token":   one("ATA"+"TT3"+made(word, 180), "ATA"+"TT3"+made(word, 100)),
		"discord-webhook":   one("https://discord.com/api/"+"webhooks/"+made(digits, 18)+"/"+made(word, 68), "https://example.org/api/"+"webhooks/"+made(digits, 3)),
		"doppler-token":     one("dp."+"st."+made(word, 43), "dp."+"st."+made(word, 12)),
		"grafana-token":     one("gl"+"sa_"+made(word, 32)+"_"+made(hex, 8), "gl"+"sa_"+made(word, 30)),
		"huggingface-token": one("h"+"f_"+made(alpha, 34), "h"+"f_"+made(alpha, 33), "h"+"f_"+made(word, 34)),
		"linear-key":        one("lin_"+"api_"+made(word, 40), "lin_"+"api_"+made(word, 30)),
		"mailgun-key":       one("ke"+"y-"+made(hex, 32), "ke"+"y-"+made(hex, 31), "mon"+"key-"+made(hex, 32)),
		"newrelic-key":      one("NR"+"AK-"+made(upper+digits, 27), "NR"+"AK-"+made(upper, 20)),
		"onepassword-token": one("op"+"s_"+"ey"+"J"+made(word, 250), "op"+"s_"+"ey"+"J"+made(word, 50)),
		"openai-key":        one("sk"+"-proj-"+made(word, 60)+"T3Blbk"+"FJ"+made(word, 60), "sk"+"-proj-"+made(word, 60)),
		"postman-key":       one("PM"+"AK-"+made(hex, 24)+"-"+made(hex, 34), "PM"+"AK-"+made(hex, 24)),
		"sendgrid-key":      one("S"+"G."+made(word, 22)+"."+made(word, 43), "S"+"G."+made(word, 22)+"."+made(word, 20)),
		"sentry-token":      one("sntrys"+"_"+made(word, 100), "sntrys"+"_"+made(word, 20)),
		"shopify-token":     one("shp"+"at_"+made(hex, 32), "shp"+"at_"+made(hex, 20)),
		"slack-token":       one("xox"+"b-"+made(digits, 12)+"-"+made(word, 24), "xox"+"b-"+"short"),
		"slack-webhook":     one("https://hooks.slack"+".com/services/T"+made(upper+digits, 9)+"/B"+made(upper+digits, 9)+"/"+made(word, 24), "https://hooks.slack"+".com/services/T/B/x"),
		"stripe-key":        one("sk"+"_live_"+made(word, 24), "sk"+"_live_"+made(word, 10), "task"+"_live_"+made(word, 24)),
		"telegram-token":    one(made(digits, 10)+":"+"AA"+made(word, 33), "1:"+"AA"+made(word, 33)),
		"twilio-key":        one("S"+"K"+made(hex, 32), "S"+"K"+made(hex, 30), "RI"+"SK"+made(hex, 32)),

		"age-key": one("AGE-"+"SECRET-KEY-1"+made("QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", 58), "AGE-"+"SECRET-KEY-1"+made("QPZRY9X8", 30)),
		"jwt":     one("ey"+"J"+made(word, 30)+".ey"+"J"+made(word, 400)+"."+made(word, 43), "ey"+"J"+made(word, 30)+".ey"+"J"+made(word, 400)),
		"private-key": {
			finds: []string{
				pem("PRIVATE"+" KEY", made(base, 64)), pem("RSA PRIVATE"+" KEY", "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n"+made(base, 64)),
				`"` + strings.ReplaceAll(pem("OPENSSH PRIVATE"+" KEY", made(base, 70)), "\n", `\n`) + `"`,
				`"-----BEGIN EC PRIVATE` + ` KEY-----\n" +` + "\n\t\"" + made(base, 64) + `\n"`, pem("PGP PRIVATE"+" KEY BLOCK", "\n"+made(base, 64)),
				strings.ReplaceAll(pem("EC PRIVATE"+" KEY", made(base, 64)), "\n", "\r\n    "),
			},
			passes: []string{
				pem("PUBLIC KEY", made(base, 64)), pem("CERTIFICATE", made(base, 64)), pem("ENCRYPTED PRIVATE"+" KEY", made(base, 64)),
				pem("ENCRYPTED SIGSTORE PRIVATE"+" KEY", made(base, 64)), "-----BEGIN PRIVATE" + " KEY-----", "-----BEGIN RSA PRIVATE" + " KEY----- is what a key begins with",
			},
		},
		"private-key-base64": one(in64, in64[:40], base64.StdEncoding.EncodeToString([]byte(pem("CERTIFICATE", made(base, 64))))),

		"authorization-header": one(`curl -H "Authori`+`zation: Bearer `+made(word, 40)+`"`, `curl -H "Authori`+`zation: Bearer $TOKEN"`, "Authori"+"zation: Bearer <your-token>"),
		"docker-auth":          one(`"au`+`th": "`+login("ana", "geheim4711")+`"`, `"au`+`th": "`+made(word, 16)+`"`, `"au`+`th": "none"`),
		"netrc-password":       one("machine example.org login ana pass"+"word geheim4711", "machine example.org login ana"),
		"url-password": {
			finds: []string{"postgres" + "://app:geheim4711@db.internal/app", "amqps" + "://:k8Wq2z@queue"},
			passes: []string{"postgres" + "://app:${PASSWORD}@db/app", "http://localhost:8080/@x", "postgres" + "://postgres:postgres@localhost/app",
				"https://example.org/a:b@c", "postgres" + "://app:password@db/app", "git+ssh://git@example.org:22/x"},
		},
		"assigned-secret": {
			finds: []string{
				`pass` + `word = "` + made(word, 12) + `"`, `"apiKey": "` + made(word, 32) + `"`, "DB_PASS" + "WORD=" + made(word, 10) + "\n",
				"client_secret: " + made(word, 32) + " # of prod", "export SESSION_SEC" + "RET=" + made(hex, 40), `db.passwd => '` + made(word, 16) + `'`,
			},
			passes: []string{
				`password = "` + "correct horse battery" + `"`, `password := os.Getenv("DB_PASSWORD")`, `"password": "${DB_PASSWORD_1}"`, "token: str = request.headers.token2",
				`token_url = "` + made(word, 20) + `"`, `passwordFile: "` + made(word, 20) + `"`, `publicKeyToken="` + made(hex, 16) + `"`, `if token == "` + made(word, 20) + `" {`,
				`secret: "` + strings.Repeat("a1", 10) + `"`, `tokenizer = "` + made(word, 20) + `"`, `secretName: my-secret-v1-of-prod`, `apikey="123456789012"`, `secret: sha256:` + made(hex, 64),
				`{"token":"` + "short1" + `"}`, `password: {{ .Values.db1.pw2 }}`,
			},
		},
	}
}

func one(finds string, passes ...string) sample {
	return sample{finds: []string{finds}, passes: passes}
}

func scan(t testing.TB, text string) []secretscan.Finding {
	t.Helper()
	var out []secretscan.Finding
	err := secretscan.New().Scan(t.Context(), "file", strings.NewReader(text), func(f secretscan.Finding) { out = append(out, f) })
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func found(list []secretscan.Finding, rule string) bool {
	return slices.ContainsFunc(list, func(f secretscan.Finding) bool { return f.ID == rule })
}

func TestRules(t *testing.T) {
	all := samples(t)
	for _, r := range secretscan.Rules() {
		s, ok := all[r.ID]
		if !ok || len(s.finds) == 0 || len(s.passes) == 0 {
			t.Errorf("the rule %s has no example or no near miss", r.ID)
		}
		delete(all, r.ID)
		for i, text := range s.finds {
			for _, around := range [][2]string{{"", ""}, {"first line\n", "\nlast line"}, {`{"key": "`, `"}`}, {`x\n`, `\n`}} {
				if strings.Contains(text, "\"") && strings.Contains(around[0], "\"") || r.ID == "assigned-secret" && around[1] != "" && !strings.HasPrefix(around[1], "\n") {
					continue // a value's own quotes would end in these
				}
				got := scan(t, around[0]+text+around[1])
				if !found(got, r.ID) {
					t.Errorf("%s: example %d in %q is not found, but %v", r.ID, i, around, got)
				}
			}
		}
		for i, text := range s.passes {
			if got := scan(t, "a\n"+text+"\nb"); found(got, r.ID) {
				t.Errorf("%s: near miss %d is found: %v", r.ID, i, got)
			}
		}
	}
	for id := range all {
		t.Errorf("there are examples for %s, which is no rule", id)
	}
}

// A token of a known format is reported by its own name, also when it is given
// to a name that a secret has.
func TestRules_OneFindingForOneToken(t *testing.T) {
	got := scan(t, `pass`+`word = "gh`+`p_`+made(word, 36)+`"`)
	if len(got) != 1 || got[0].ID != "github-token" {
		t.Fatalf("%v", got)
	}
}
