package secretscan

import (
	"bytes"
	"math"
	"regexp"
)

// rule is one sort of credential: a text that it can't be without, and a
// pattern for the window around it whose first group is the secret.
type rule struct {
	id, description string
	literals        []string // in lower case, at most [longest] bytes; one of them is in every match
	before, after   int      // the window, in bytes before and after the beginning of the text
	pattern         *regexp.Regexp
	// quick, if set, refuses most windows (from the text on) without the pattern.
	quick func(window []byte) bool
	// parse, if set, takes the place of the pattern: it finds the secret in the
	// window from the text on.
	parse  func(window []byte) (from, to int, ok bool)
	accept func(secret []byte) bool
	// exact: the format is unlikely to come about by chance; it is looked for
	// in binary files too.
	exact bool
}

// format is a rule for a credential of a documented form that begins with one
// of the texts.
func format(id, description, pattern string, literals ...string) rule {
	return rule{
		id: id, description: description, literals: literals, before: 24, after: 512,
		pattern: regexp.MustCompile(pattern), accept: varied, exact: true,
	}
}

// reaching is a rule with another window.
func (r rule) reaching(before, after int) rule {
	r.before, r.after = before, after
	return r
}

// textOnly is a rule whose form may come about by chance in binary files.
func (r rule) textOnly() rule {
	r.exact = false
	return r
}

func (r rule) accepting(f func([]byte) bool) rule {
	r.accept = f
	return r
}

// exact are the rules of documented formats. A match begins at a word boundary,
// so that the middle of an encoded text is none.
func exact() []rule {
	const b = `(?:^|[^A-Za-z0-9_-])`
	return []rule{
		format("private-key", "a private key", `-----BEGIN (?:(?:RSA|EC|DSA|ED25519|OPENSSH|PGP) )?PRIVATE KEY(?: BLOCK)?-----(?:\s|\\n|\\r)*(?:[A-Za-z-]+: [^\n]{0,100}\s+){0,3}([A-Za-z0-9+/=]{40})`, "-----begin ").reaching(0, 600),
		format("putty-key", "a PuTTY private key", `PuTTY-User-Key-File-[23]: ([a-z0-9-]+)\s+Encryption: none`, "putty-user-key-file-").accepting(anything),
		format("age-key", "an age identity", b+`(AGE-SECRET-KEY-1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58})`, "age-secret-key-1"),
		format("kubeconfig-key", "a client key of a kubeconfig", `client-key-data:\s*"?([A-Za-z0-9+/=]{100})`, "client-key-data:"),
		format("towpath-token", "a Towpath token", b+`(twp_[A-Za-z0-9]{36})(?:$|[^A-Za-z0-9_-])`, "twp_"),

		format("aws-access-key", "an AWS access key ID", b+`((?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16})(?:$|[^A-Za-z0-9_-])`, "akia", "asia", "abia", "acca"),
		format("aws-secret-key", "an AWS secret access key", `(?i)aws[a-z_ .-]{0,20}(?:secret|access)[a-z_ .-]{0,20}["']?\s{0,4}(?:=|:|=>|:=)\s{0,4}["']?([A-Za-z0-9/+]{40})(?:$|[^A-Za-z0-9/+=])`, "aws").textOnly().accepting(random),
		format("gcp-api-key", "a Google API key", b+`(AIza[A-Za-z0-9_-]{35})(?:$|[^A-Za-z0-9_-])`, "aiza"),
		format("gcp-oauth-secret", "a Google OAuth client secret", b+`(GOCSPX-[A-Za-z0-9_-]{28})`, "gocspx-"),
		format("azure-storage-key", "an Azure storage key", `(?i)AccountKey=([A-Za-z0-9+/]{86}==)`, "accountkey="),
		format("azure-client-secret", "an Azure client secret", b+`([A-Za-z0-9_~.-]{3}\dQ~[A-Za-z0-9_~.-]{31,34})(?:$|[^A-Za-z0-9_~.-])`, "q~").textOnly().accepting(random),
		format("digitalocean-token", "a DigitalOcean token", b+`(do[opr]_v1_[a-f0-9]{64})`, "doo_v1_", "dop_v1_", "dor_v1_"),
		format("cloudflare-origin-key", "a Cloudflare origin CA key", b+`(v1\.0-[a-f0-9]{24}-[a-f0-9]{146})`, "v1.0-"),
		format("heroku-key", "a Heroku API key", b+`(HRKU-[A-Za-z0-9_-]{36,})`, "hrku-"),
		format("tailscale-key", "a Tailscale key", b+`(tskey-(?:auth|api|client|scim|webhook)-[A-Za-z0-9]+-[A-Za-z0-9]{20,})`, "tskey-"),
		format("pulumi-token", "a Pulumi token", b+`(pul-[a-f0-9]{40})`, "pul-"),
		format("terraform-token", "a Terraform Cloud token", `([A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{60,70})`, ".atlasv1."),
		format("vault-token", "a Vault token", b+`(hv[sbr]\.[A-Za-z0-9_-]{24,})`, "hvs.", "hvb.", "hvr."),
		format("doppler-token", "a Doppler token", b+`(dp\.(?:pt|st|ct|sa|scim|audit)\.[A-Za-z0-9._-]{40,})`, "dp.pt.", "dp.st.", "dp.ct.", "dp.sa.", "dp.scim.", "dp.audit."),
		format("1password-token", "a 1Password service account token", b+`(ops_eyJ[A-Za-z0-9+/=_-]{100})`, "ops_eyj"),

		format("github-token", "a GitHub token", b+`(gh[pousr]_[A-Za-z0-9]{36,255})(?:$|[^A-Za-z0-9_])`, "ghp_", "gho_", "ghu_", "ghs_", "ghr_"),
		format("github-pat", "a GitHub fine-grained token", b+`(github_pat_[A-Za-z0-9_]{82})`, "github_pat_"),
		format("gitlab-token", "a GitLab token", b+`(gl(?:pat|dt|rt|rtr|ptt|ft|agent|soat|imt|cbt|oas|ffct)-[A-Za-z0-9_.-]{20,})`, "glpat-", "gldt-", "glrt-", "glrtr-", "glptt-", "glft-", "glagent-", "glsoat-", "glimt-", "glcbt-", "gloas-", "glffct-"),
		format("atlassian-token", "an Atlassian token", b+`(ATATT3[A-Za-z0-9_=-]{180,})`, "atatt3"),
		format("npm-token", "an npm token", b+`(npm_[A-Za-z0-9]{36})(?:$|[^A-Za-z0-9_])`, "npm_"),
		format("npmrc-token", "a token in an .npmrc", `_authToken\s?=\s?["']?([A-Za-z0-9_-]{20,})`, "_authtoken").textOnly().accepting(random),
		format("pypi-token", "a PyPI token", `(pypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{50,})`, "pypi-ageichlwas5vcmc"),
		format("rubygems-token", "a RubyGems token", b+`(rubygems_[a-f0-9]{48})`, "rubygems_"),
		format("dockerhub-token", "a Docker Hub token", b+`(dckr_(?:pat|oat)_[A-Za-z0-9_-]{27,})`, "dckr_pat_", "dckr_oat_"),
		format("docker-auth", "a login of a docker configuration", `"auth"\s{0,4}:\s{0,4}"([A-Za-z0-9+/]{16,}={0,2})"`, `"auth"`).textOnly().accepting(random),

		format("slack-token", "a Slack token", b+`(xox[abeoprs]-(?:\d-)?[A-Za-z0-9-]{20,})`, "xoxa-", "xoxb-", "xoxe-", "xoxo-", "xoxp-", "xoxr-", "xoxs-"),
		format("slack-app-token", "a Slack app token", b+`(xapp-\d-[A-Z0-9]+-\d+-[a-f0-9]{30,})`, "xapp-"),
		format("slack-webhook", "a Slack webhook", `hooks\.slack\.com/(?:services|workflows|triggers)/([A-Za-z0-9+/]{40,})`, "hooks.slack.com/"),
		format("discord-webhook", "a Discord webhook", `discord(?:app)?\.com/api/webhooks/(\d{10,}/[A-Za-z0-9_-]{60,})`, "discord.com/api/webhooks", "discordapp.com/api/webhooks"),
		format("teams-webhook", "a Microsoft Teams webhook", `webhook\.office\.com/(webhookb2/[A-Za-z0-9@/-]{80,})`, "webhook.office.com/"),
		format("twilio-token", "a Twilio token", `(?i)twilio[a-z_ .-]{0,20}(?:token|secret|key)["']?\s{0,4}(?:=|:|=>|:=)\s{0,4}["']?([0-9a-f]{32})(?:$|[^A-Za-z0-9])`, "twilio").textOnly(),
		format("sendgrid-key", "a SendGrid key", b+`(SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43})`, "sg."),
		format("mailgun-key", "a Mailgun key", b+`(key-[0-9a-f]{32})(?:$|[^A-Za-z0-9])`, "key-"),

		format("stripe-key", "a Stripe key", b+`((?:sk|rk)_(?:live|test|prod)_[A-Za-z0-9]{16,})`, "sk_live_", "sk_test_", "sk_prod_", "rk_live_", "rk_test_", "rk_prod_"),
		format("square-token", "a Square token", b+`(sq0(?:atp|csp)-[A-Za-z0-9_-]{22,43})`, "sq0atp-", "sq0csp-"),
		format("shopify-token", "a Shopify token", b+`(shp(?:at|ss|ca|pa)_[a-fA-F0-9]{32})`, "shpat_", "shpss_", "shpca_", "shppa_"),
		format("openai-key", "an OpenAI key", b+`(sk-(?:proj-|svcacct-|admin-)?[A-Za-z0-9_-]{20,100}T3BlbkFJ[A-Za-z0-9_-]{20,})`, "t3blbkfj").reaching(160, 200),
		format("anthropic-key", "an Anthropic key", b+`(sk-ant-[a-z]+\d{2}-[A-Za-z0-9_-]{80,})`, "sk-ant-"),
		format("huggingface-token", "a Hugging Face token", b+`(hf_[A-Za-z]{34})(?:$|[^A-Za-z0-9_])`, "hf_"),
		format("grafana-token", "a Grafana token", b+`(glsa_[A-Za-z0-9]{32}_[A-Fa-f0-9]{8})`, "glsa_"),
		format("newrelic-key", "a New Relic key", b+`(NRAK-[A-Z0-9]{27})`, "nrak-"),
		format("sentry-token", "a Sentry token", b+`(sntry[su]_[A-Za-z0-9+/=_-]{60,})`, "sntrys_", "sntryu_"),
		format("linear-key", "a Linear key", b+`(lin_api_[A-Za-z0-9]{40})`, "lin_api_"),
		format("databricks-token", "a Databricks token", b+`(dapi[a-f0-9]{32}(?:-\d)?)(?:$|[^A-Za-z0-9])`, "dapi"),
		format("planetscale-token", "a PlanetScale credential", b+`(pscale_(?:tkn|oauth|pw)_[A-Za-z0-9_.=-]{32,64})`, "pscale_"),
		format("postman-key", "a Postman key", b+`(PMAK-[a-f0-9]{24}-[a-f0-9]{34})`, "pmak-"),
		format("jwt", "a signed JSON web token", b+`(eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{20,})`, "eyj").reaching(24, 1000),
	}
}

// named are the rules for values whose name, or place, says what they are.
func named() []rule {
	return []rule{
		{
			id: "url-password", description: "a password in a URL", literals: []string{"://"}, before: 24, after: 260,
			pattern: regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]{1,20}://[^\s/:@"'<>{}$]{0,100}:([^\s/:@"'<>]{3,100})@[A-Za-z0-9\[]`),
			quick:   func(w []byte) bool { return bytes.IndexByte(w, '@') > 0 }, accept: plausible,
		},
		{
			id: "authorization-header", description: "a credential in a header", literals: []string{"authorization"}, before: 0, after: 300,
			pattern: regexp.MustCompile(`(?i)authorization["']?\s{0,4}[:=]\s{0,4}["']?(?:basic|bearer|token)\s+([A-Za-z0-9+/=._~-]{16,})`), accept: random,
		},
		{
			id: "assigned-secret", description: "a value assigned to the name of a secret",
			literals: []string{"password", "passwd", "secret", "token", "api_key", "apikey", "api-key", "access_key", "accesskey", "access-key", "private_key", "client_key", "credential"},
			after:    240, parse: assigned, accept: random,
		},
	}
}

// assigned finds the value that is assigned to a name, in the window that begins
// somewhere in the name: by hand, because there are many such names.
func assigned(w []byte) (from, to int, ok bool) {
	i := 0
	skip := func(most int, in func(byte) bool) {
		for n := 0; i < len(w) && n < most && in(w[i]); n++ {
			i++
		}
	}
	skip(60, func(c byte) bool { return isWord(c) || c == '-' })
	skip(2, func(c byte) bool { return c == '"' || c == '\'' || c == ']' })
	skip(8, isBlank)
	operator := i
	skip(2, func(c byte) bool { return c == '=' || c == ':' || c == '>' })
	if i == operator || w[operator] == '>' {
		return 0, 0, false
	}
	skip(8, isBlank)
	skip(1, func(c byte) bool { return c == '"' || c == '\'' || c == '`' })
	from = i
	skip(150, func(c byte) bool { return isWord(c) || bytes.IndexByte([]byte("+/=.~!@#%^&*-"), c) >= 0 })
	return from, i, i-from >= 10
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

func anything([]byte) bool { return true }

// varied refuses what stands for a credential in documentation.
func varied(secret []byte) bool { return entropy(secret) >= 2.5 && !placeholder(secret) }

// plausible refuses what is no password.
func plausible(secret []byte) bool {
	return !placeholder(secret) && !bytes.ContainsAny(secret, "${}%*") && entropy(secret) >= 1.5
}

// random accepts what looks as if it had been drawn: letters and digits mixed,
// not a name, a path or a version.
func random(secret []byte) bool {
	path := bytes.IndexByte(secret, '/') >= 0 && bytes.IndexByte(secret, '.') >= 0
	if len(secret) < 10 || path || placeholder(secret) || entropy(secret) < 3.2 {
		return false
	}
	letters, digits, others := 0, 0, 0
	for _, c := range secret {
		switch {
		case c >= '0' && c <= '9':
			digits++
		case c|0x20 >= 'a' && c|0x20 <= 'z':
			letters++
		default:
			others++
		}
	}
	return digits >= 2 && letters >= 2 && others*4 <= len(secret)
}

// entropy is Shannon's, in bits a byte.
func entropy(b []byte) float64 {
	var counts [256]int
	for _, c := range b {
		counts[c]++
	}
	sum := 0.0
	for _, n := range counts {
		if n > 0 {
			p := float64(n) / float64(len(b))
			sum -= p * math.Log2(p)
		}
	}
	return sum
}

// placeholders are parts of what stands for a secret. They are in lower case.
var placeholders = [][]byte{
	[]byte("example"), []byte("changeme"), []byte("change-me"), []byte("change_me"), []byte("placeholder"), []byte("redacted"), []byte("dummy"),
	[]byte("xxxx"), []byte("....."), []byte("*****"), []byte("your-"), []byte("your_"), []byte("getenv"), []byte("environ"), []byte("process.env"),
	[]byte("not-a-"), []byte("sample"), []byte("insert"), []byte("00000000"), []byte("12345678"), []byte("abcdefgh"),
}

func placeholder(secret []byte) bool {
	low := bytes.ToLower(secret)
	for _, p := range placeholders {
		if bytes.Contains(low, p) {
			return true
		}
	}
	return false
}
