package secretscan_test

import (
	"encoding/base64"
	"strings"
	"testing"
)

// wrapped breaks a text into lines of some columns.
func wrapped(text string, columns int) string {
	var out strings.Builder
	for ; len(text) > columns; text = text[columns:] {
		out.WriteString(text[:columns] + "\n")
	}
	return out.String() + text
}

// inBase64 is a private key as a Secret or a kubeconfig has it.
func inBase64(kind string, size int) string {
	return base64.StdEncoding.EncodeToString([]byte(pem(kind+"PRIVATE"+" KEY", wrapped(made(base, size), 64))))
}

// What is longer than the part of it that a rule looks at is found in a text
// all the same, and so is what stands in lines.
func TestRules_RealLengths(t *testing.T) {
	rsa := inBase64("RSA ", 1592)
	token := func(claims int) string {
		return "ey" + "J" + made(word, 60) + ".ey" + "J" + made(word, claims) + "." + made(word, 342)
	}
	tests := map[string]struct{ rule, text string }{
		"a kubeconfig's key":                      {"private-key-base64", "    client-key-data: " + rsa + "\n"},
		"a Kubernetes Secret's key":               {"private-key-base64", "data:\n  tls.crt: " + made(base, 1500) + "\n  tls.key: " + rsa + "\n"},
		"a key of 4096 bits":                      {"private-key-base64", inBase64("", 3168)},
		"lines of 64 columns":                     {"private-key-base64", wrapped(rsa, 64) + "\n"},
		"lines of 76 columns":                     {"private-key-base64", wrapped(rsa, 76) + "\n"},
		"lines of 64 columns, the longest header": {"private-key-base64", "key: |\n  " + strings.ReplaceAll(wrapped(inBase64("OPENSSH ", 1800), 64), "\n", "\n  ") + "\n"},
		"lines of 76 columns of PKCS #8":          {"private-key-base64", wrapped(inBase64("", 1624), 76) + "\n"},
		"a 1Password token":                       {"onepassword-token", "OP_SERVICE_ACCOUNT_TOKEN=op" + "s_ey" + "J" + made(word, 850) + "\n"},
		"a Google token of 400 bytes":             {"gcp-access-token", "ya" + "29." + made(word, 400) + "\n"},
		"a key on one line":                       {"private-key", "-----BEGIN RSA PRIVATE" + " KEY-----" + made(base, 1592) + "-----END RSA PRIVATE" + " KEY-----\n"},
		"an opaque bearer token":                  {"authorization-header", "Authori" + "zation: Bearer " + made(word, 900) + "\n"},
		"a web token with long claims":            {"jwt", "id: " + token(2000) + "\n"},
		"a web token with claims beyond reach":    {"jwt", "id: " + token(6000) + "\n"},
		"a web token cut in its signature":        {"jwt", "id: " + token(2925) + "\n"},
		"a web token cut at its signature":        {"jwt", "id: " + token(2932) + "\n"},
		"a login at Google's registry":            {"docker-auth", `{"au` + `th": "` + login("_json_key", made(word, 2350)) + `"}`},
		"an aligned key of AWS":                   {"aws-secret-key", "secret_" + "access_key" + strings.Repeat(" ", 20) + `= "` + made(base, 40) + `"` + "\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := scan(t, test.text); !found(got, test.rule) {
				t.Errorf("%s is not found, but %v", test.rule, got)
			}
		})
	}
}

// A format with a longest is still no match in a longer word, and what a
// header alone looks like is no key.
func TestRules_LongWordsThatAreNone(t *testing.T) {
	header := base64.StdEncoding.EncodeToString([]byte("-----BEGIN OPENSSH PRIVATE" + " KEY-----\n"))
	for name, text := range map[string]string{
		"a token's beginning in a long word":   "gh" + "p_" + made(word, 2000) + "\n",
		"a key's header":                       "a parser looks for " + header + "\n",
		"claims without a signature":           "ey" + "J" + made(word, 30) + ".ey" + "J" + made(word, 1000),
		"a web token's first part, very long":  "ey" + "J" + made(word, 5000) + "\n",
		"a signature that is none":             "ey" + "J" + made(word, 30) + ".ey" + "J" + made(word, 400) + ".x",
		"a key in base64 that is not the name": "LS0tLS1CRUdJTi" + made(base, 2000) + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			if got := scan(t, text); len(got) != 0 {
				t.Errorf("found: %v", got)
			}
		})
	}
}
