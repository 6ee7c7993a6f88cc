package towpath

import (
	"testing"
	"time"
)

func TestMatchPath(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"api/testdata/**", "api/testdata/a/b.pem", true},
		{"api/testdata/**", "api/testdata/a.pem", true},
		{"api/testdata/**", "api/testdata2/a.pem", false},
		{"api/testdata/**", "web/api/testdata/a.pem", false},
		{"**/testdata/**", "testdata/a", true},
		{"**/testdata/**", "a/b/testdata/c/d", true},
		{"**/a/**/b", "a/a/c/b/b", true},
		{"**/a/**/b", "a/a/c/b/c", false},
		{"**", "a/b", true},
		{"*.pem", "a.pem", true},
		{"*.pem", "a/b.pem", false},
		{"a/*/c", "a/b/c", true},
		{"a/*/c", "a/b/d/c", false},
		{"a/[bc]?", "a/bx", true},
		{"a/[", "a/[", false},
		{"a/b", "a/b/c", false},
		{"a/b/c", "a/b", false},
	} {
		if got := MatchPath(c.pattern, c.name); got != c.want {
			t.Errorf("%s on %s: %v", c.pattern, c.name, got)
		}
	}
}

func TestSecretAllowance(t *testing.T) {
	a := SecretAllowance{Path: "a/**", Rule: "jwt", Until: "2027-01-31"}
	if !a.Covers("a/b", "jwt") || a.Covers("a/b", "private-key") || a.Covers("b", "jwt") {
		t.Error("it covers one rule in one folder")
	}
	last := time.Date(2027, 1, 31, 23, 59, 59, 0, time.UTC)
	if a.Expired(last) || !a.Expired(last.Add(time.Second)) || (SecretAllowance{}).Expired(last) {
		t.Error("it counts on its last day, and not after it")
	}
}
