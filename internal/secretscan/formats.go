package secretscan

import (
	"bytes"
	"encoding/base64"
	"regexp"
	"strings"

	"github.com/towpath/towpath/internal/access"
)

// rules are the formats that are known, each from what its issuer documents or
// shows. An order of names, not of weight.
func rules() []rule {
	out := clouds()
	out = append(out, forges()...)
	out = append(out, services()...)
	out = append(out, keys()...)
	return append(out, guesses()...)
}

// prefixed is a rule for tokens that begin with one of some prefixes, which
// count in their own case.
func prefixed(id, description string, bits float64, pattern string, prefixes ...string) rule {
	r := rule{Rule: Rule{id, description}, exact: prefixes, pattern: regexp.MustCompile("^(?:" + pattern + ")"),
		reach: usualReach, entropy: bits, token: true}
	for _, p := range prefixes {
		r.keywords = append(r.keywords, strings.ToLower(p))
	}
	return r
}

// named is a rule for values whose own form says little and whose name says
// all; keywords are in lower case.
func named(id, description string, bits float64, pattern string, keywords ...string) rule {
	return rule{Rule: Rule{id, description}, keywords: keywords, pattern: regexp.MustCompile("^(?i:" + pattern + ")"),
		reach: usualReach, entropy: bits}
}

func (r rule) startsBefore(n int) rule { r.before = n; return r }

func (r rule) reaching(n int) rule { r.reach = n; return r }

func (r rule) unbounded() rule { r.loose = true; return r }

func (r rule) inText() rule { r.token = false; return r }

func (r rule) accepting(f func(text []byte, groups []int) bool) rule { r.accept = f; return r }

// is is what stands between a name and its value in most languages.
const is = `["']?\s*(?::=|=>|=|:)\s*["']?`

func clouds() []rule {
	return []rule{
		prefixed("aws-access-key", "an AWS access key", 3, `A(?:KIA|SIA|BIA|CCA)[A-Z2-7]{16}`, "AKIA", "ASIA", "ABIA", "ACCA"),
		named("aws-secret-key", "an AWS secret access key", 4, `secret[_-]?access[_-]?key`+is+`([A-Za-z0-9/+]{40})(?:[^A-Za-z0-9/+=]|$)`,
			"secret_access_key", "secretaccesskey", "secret-access-key"),
		prefixed("azure-client-secret", "a client secret of Microsoft Entra", 3.5, `[A-Za-z0-9_~.]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,34}`, "Q~").startsBefore(4).inText(),
		named("azure-storage-key", "the key of an Azure storage account or service bus", 4, `(?:account|sharedaccess)key=([A-Za-z0-9+/]{42,86}={1,2})`, "accountkey=", "sharedaccesskey="),
		prefixed("cloudflare-origin-ca", "a Cloudflare origin CA key", 3, `v1\.0-[0-9a-f]{24}-[0-9a-f]{146}`, "v1.0-"),
		prefixed("databricks-token", "a Databricks token", 3, `dapi[0-9a-f]{32}(?:-[0-9])?`, "dapi"),
		prefixed("digitalocean-token", "a DigitalOcean token", 3, `do[opr]_v1_[0-9a-f]{64}`, "doo_v1_", "dop_v1_", "dor_v1_"),
		prefixed("flyio-token", "a Fly.io token", 3.5, `fo1_[0-9A-Za-z_-]{43}`, "fo1_"),
		prefixed("gcp-api-key", "a Google API key", 3.5, `AIza[0-9A-Za-z_-]{35}`, "AIza"),
		prefixed("gcp-oauth-secret", "a client secret of Google OAuth", 3.5, `GOCSPX-[0-9A-Za-z_-]{28}`, "GOCSPX-"),
		prefixed("gcp-access-token", "a Google access token", 3.5, `ya29\.[0-9A-Za-z_-]{40,}`, "ya29."),
		named("gcp-service-account", "the key of a Google service account", 3, `private_key_id`+is+`([0-9a-f]{40})(?:[^0-9a-f]|$)`, "private_key_id"),
		prefixed("heroku-key", "a Heroku API key", 3.5, `HRKU-AA[0-9A-Za-z_-]{58}`, "HRKU-AA"),
		prefixed("planetscale-secret", "a PlanetScale password or token", 3.5, `pscale_(?:pw|tkn|oauth)_[0-9A-Za-z_=.-]{32,64}`, "pscale_pw_", "pscale_tkn_", "pscale_oauth_"),
		prefixed("pulumi-token", "a Pulumi access token", 3, `pul-[0-9a-f]{40}`, "pul-"),
		prefixed("terraform-cloud-token", "a token of HCP Terraform", 3.5, `[0-9A-Za-z]{14}\.atlasv1\.[0-9A-Za-z_=-]{60,70}`, ".atlasv1.").startsBefore(14),
		prefixed("towpath-token", "a Towpath token", 3, `twp_[0-9A-Za-z]{36}`, access.TokenPrefix).accepting(func(text []byte, groups []int) bool {
			return access.WellFormed(string(text[groups[0]:groups[1]])) // has a checksum
		}),
		prefixed("vault-token", "a Vault or OpenBao token", 3.5, `hv[sbr]\.[0-9A-Za-z_-]{90,}`, "hvs.", "hvb.", "hvr."),
	}
}

func forges() []rule {
	return []rule{
		prefixed("artifactory-key", "an Artifactory API key", 3.5, `AKCp[0-9A-Za-z]{69}`, "AKCp"),
		prefixed("crates-io-token", "a crates.io token", 3.5, `cio[0-9A-Za-z]{32}`, "cio"),
		prefixed("dockerhub-token", "a Docker Hub token", 3.5, `dckr_(?:pat|oat)_[0-9A-Za-z_-]{27,}`, "dckr_pat_", "dckr_oat_"),
		prefixed("github-fine-grained-token", "a fine-grained GitHub token", 3.5, `github_pat_[0-9A-Za-z]{22}_[0-9A-Za-z]{59}`, "github_pat_"),
		prefixed("github-token", "a GitHub token", 3, `gh[pousr]_[0-9A-Za-z]{36,251}`, "ghp_", "gho_", "ghu_", "ghs_", "ghr_"),
		prefixed("gitlab-token", "a GitLab token", 3, `gl(?:pat|dt|rt|cbt|ptt|ft|soat|agent|oas|imt)-[0-9A-Za-z_-]{20,64}(?:\.[0-9a-z.]{9,})?`,
			"glpat-", "gldt-", "glrt-", "glcbt-", "glptt-", "glft-", "glsoat-", "glagent-", "gloas-", "glimt-"),
		prefixed("npm-token", "an npm token", 3.5, `npm_[0-9A-Za-z]{36}`, "npm_"),
		prefixed("nuget-key", "a NuGet API key", 3, `oy2[0-9a-z]{43}`, "oy2"),
		prefixed("pypi-token", "a PyPI token", 3.5, `pypi-AgE[0-9A-Za-z_-]{60,}`, "pypi-AgE"),
		prefixed("rubygems-key", "a RubyGems API key", 3, `rubygems_[0-9a-f]{48}`, "rubygems_"),
	}
}

func services() []rule {
	return []rule{
		prefixed("anthropic-key", "an Anthropic API key", 3.5, `sk-ant-(?:api|admin|oat)[0-9]{2}-[0-9A-Za-z_-]{80,}`, "sk-ant-"),
		prefixed("atlassian-token", "an Atlassian API token", 3.5, `ATATT3[0-9A-Za-z_=-]{150,}`, "ATATT3"),
		prefixed("discord-webhook", "a Discord webhook with its token", 3, `/api/webhooks/[0-9]{17,20}/([0-9A-Za-z_-]{60,})`, "/api/webhooks/"),
		prefixed("doppler-token", "a Doppler token", 3.5, `dp\.(?:pt|st|ct|sa|scim|audit)\.[0-9A-Za-z_.-]{40,}`, "dp.pt.", "dp.st.", "dp.ct.", "dp.sa.", "dp.scim.", "dp.audit."),
		prefixed("grafana-token", "a Grafana token", 3, `gl(?:sa_[0-9A-Za-z]{32}_[0-9a-f]{8}|c_eyJ[0-9A-Za-z+/=]{32,})`, "glsa_", "glc_eyJ"),
		prefixed("huggingface-token", "a Hugging Face token", 3.5, `hf_[A-Za-z]{34}`, "hf_"),
		prefixed("linear-key", "a Linear API key", 3.5, `lin_api_[0-9A-Za-z]{40}`, "lin_api_"),
		prefixed("mailgun-key", "a Mailgun API key", 3, `key-[0-9a-f]{32}`, "key-").inText(),
		prefixed("newrelic-key", "a New Relic user key", 3, `NRAK-[A-Z0-9]{27}`, "NRAK-"),
		prefixed("onepassword-token", "a 1Password service account token", 3.5, `ops_eyJ[0-9A-Za-z+/=_-]{200,}`, "ops_eyJ"),
		prefixed("openai-key", "an OpenAI API key", 3.5, `sk-(?:proj-|svcacct-|admin-)?[0-9A-Za-z_-]{20,120}T3BlbkFJ[0-9A-Za-z_-]{20,}`, "sk-"),
		prefixed("postman-key", "a Postman API key", 3, `PMAK-[0-9a-f]{24}-[0-9a-f]{34}`, "PMAK-"),
		prefixed("sendgrid-key", "a SendGrid API key", 3.5, `SG\.[0-9A-Za-z_-]{22}\.[0-9A-Za-z_-]{43}`, "SG."),
		prefixed("sentry-token", "a Sentry token", 3.5, `sntry[su]_[0-9A-Za-z+/=_-]{60,}`, "sntrys_", "sntryu_"),
		prefixed("shopify-token", "a Shopify token", 3, `shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}`, "shpat_", "shpca_", "shppa_", "shpss_"),
		prefixed("slack-token", "a Slack token", 2.5, `xox[abeoprs]-(?:[0-9]{1,2}-)?[0-9A-Za-z-]{20,}|xapp-[0-9]-[A-Z0-9]+-[0-9]+-[0-9a-f]{40,}`,
			"xoxa-", "xoxb-", "xoxe-", "xoxo-", "xoxp-", "xoxr-", "xoxs-", "xapp-"),
		prefixed("slack-webhook", "a Slack webhook with its token", 3, `hooks\.slack\.com/services/T[0-9A-Z]{8,}/B[0-9A-Z]{8,}/([0-9A-Za-z]{20,})`, "hooks.slack.com/services/"),
		prefixed("stripe-key", "a Stripe key", 3, `(?:(?:sk|rk)_(?:live|test)_[0-9A-Za-z]{20,}|whsec_[0-9A-Za-z+/=]{32,})`, "sk_live_", "sk_test_", "rk_live_", "rk_test_", "whsec_"),
		prefixed("telegram-token", "the token of a Telegram bot", 3.5, `[0-9]{8}:AA[0-9A-Za-z_-]{33}`, ":AA").startsBefore(8).inText().unbounded(),
		prefixed("twilio-key", "a Twilio API key", 3, `SK[0-9a-f]{32}`, "SK").inText(),
	}
}

// pemBody is what may stand between the first line of a key and its first bytes
// in base64: the end of that line, in whatever a language writes for it, and
// the header lines of old files.
const pemBody = `(?:\\[nrt]|[\s"'+,\\|>` + "`" + `]|[A-Za-z-]{3,20}: [^\n]{1,100}\n)*([A-Za-z0-9+/]{40,})`

// jwtReach is how much of a JSON Web Token is looked at. One with longer claims
// is told by those.
const jwtReach = 3000

// signed says that a JSON Web Token has a signature, or goes on beyond what is
// looked at.
func signed(text []byte, groups []int) bool {
	token := text[groups[0]:groups[1]]
	parts := bytes.Split(token, []byte("."))
	return len(token) == jwtReach || len(parts) == 3 && len(parts[2]) >= 20
}

func keys() []rule {
	return []rule{
		prefixed("age-key", "an age identity", 3, `AGE-SECRET-KEY-(?:PQ-)?1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58,}`, "AGE-SECRET-KEY-"),
		prefixed("jwt", "a signed JSON Web Token", 3.5, `eyJ[0-9A-Za-z_-]{10,600}\.eyJ[0-9A-Za-z_-]{10,}(?:\.[0-9A-Za-z_-]{20,}|(?:\.[0-9A-Za-z_-]*)?$)`, "eyJ").
			reaching(jwtReach).accepting(signed),
		prefixed("private-key", "a private key that is not encrypted", 3, `-----BEGIN (?:[A-Z0-9]+ ){0,3}?PRIVATE KEY(?: BLOCK)?-----`+pemBody, "-----BEGIN ").
			reaching(600).accepting(func(text []byte, groups []int) bool {
			return !bytes.HasPrefix(text[groups[0]:], []byte("-----BEGIN ENCRYPTED "))
		}),
		// The same in base64, as Kubernetes' secrets and kubeconfig have it, or in
		// lines of 64 columns: after the longest keyword such a first line has 24.
		prefixed("private-key-base64", "a private key in base64", 3, `LS0tLS1CRUdJTiB(?:QUklWQVRFIEtFW|SU0EgUFJJVkFURSBLRV|FQyBQUklWQVRFIEtFW|PUEVOU1NIIFBSSVZBVEUgS0VZ)[0-9A-Za-z+/=]{20,}`,
			"LS0tLS1CRUdJTiBQUklWQVRFIEtFW", "LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRV", "LS0tLS1CRUdJTiBFQyBQUklWQVRFIEtFW", "LS0tLS1CRUdJTiBPUEVOU1NIIFBSSVZBVEUgS0VZ"),
	}
}

func guesses() []rule {
	header := named("authorization-header", "the credential of an HTTP request", 3.5, `authorization`+is+`(?:basic|bearer|token)\s([A-Za-z0-9+/_.~-]{16,}={0,2})`, "authorization")
	docker := named("docker-auth", "the login of a container registry", 3, `"auth"\s*:\s*"([A-Za-z0-9+/]{12,}={0,2})"`, `"auth"`).
		reaching(lookAhead).accepting(func(text []byte, groups []int) bool {
		login, err := base64.StdEncoding.DecodeString(string(text[groups[2]:groups[3]]))
		user, password, ok := bytes.Cut(login, []byte(":"))
		return err == nil && ok && len(user) > 0 && len(password) > 0
	})
	netrc := named("netrc-password", "the password of a .netrc file", 2, `machine\s+\S{1,100}\s+login\s+\S{1,100}\s+password\s+(\S{6,})`, "machine ", "machine\t")
	return []rule{
		header, docker, netrc,
		{Rule: Rule{"url-password", "a URL with a password"}, keywords: []string{"://"}, find: findURLPassword},
		{Rule: Rule{"assigned-secret", "a secret that is assigned to a name"}, keywords: secretNames(), find: findAssigned, guess: true},
	}
}
