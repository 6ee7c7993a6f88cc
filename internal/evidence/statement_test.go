package evidence_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	intoto "github.com/in-toto/attestation/go/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/towpath/towpath/internal/evidence"
	"github.com/towpath/towpath/internal/towpath"
)

const release = towpath.Digest("sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")

func TestMake(t *testing.T) {
	b, err := evidence.Make("shop", release, "https://example.com/said/v1", map[string]any{"z": 1, "a": []any{"<b>"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Run("is canonical", func(t *testing.T) {
		want := `{"_type":"https://in-toto.io/Statement/v1","predicate":{"a":["<b>"],"z":1},"predicateType":"https://example.com/said/v1",` +
			`"subject":[{"digest":{"sha256":"` + release.Hex() + `"},"name":"shop"}]}`
		if string(b) != want {
			t.Fatalf("%s\n%s", b, want)
		}
	})
	t.Run("comes back", func(t *testing.T) {
		s, err := evidence.Parse(b)
		if err != nil || s.Type != "https://example.com/said/v1" || !s.About(release) || s.About(towpath.DigestOf(nil)) || s.About("") ||
			string(s.Predicate) != `{"a":["<b>"],"z":1}` || s.Subjects[0].Name != "shop" {
			t.Fatalf("%+v, %v", s, err)
		}
	})
	t.Run("refuses what is no object, and no digest", func(t *testing.T) {
		if _, err := evidence.Make("shop", release, "x", []int{1}); towpath.KindOf(err) != towpath.KindInternal {
			t.Fatal(err)
		}
		if _, err := evidence.Make("shop", "latest", "x", struct{}{}); towpath.KindOf(err) != towpath.KindInternal {
			t.Fatal(err)
		}
		if _, err := evidence.Make("shop", release, "", struct{}{}); towpath.KindOf(err) != towpath.KindInternal {
			t.Fatal(err)
		}
	})
}

// TestMakeSignature has the statement that cosign 3.1.3 makes, byte for byte but
// for white space.
func TestMakeSignature(t *testing.T) {
	b, err := evidence.MakeSignature(release)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"_type":"https://in-toto.io/Statement/v1","predicate":{},"predicateType":"https://sigstore.dev/cosign/sign/v1","subject":[{"digest":{"sha256":"` + release.Hex() + `"}}]}`
	if string(b) != want {
		t.Fatalf("%s\n%s", b, want)
	}
}

func TestParse_refuses(t *testing.T) {
	good := `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"a","digest":{"sha256":"00"}}],"predicateType":"x","predicate":{"b":{"c":1,"c":2}}}`
	if _, err := evidence.Parse([]byte(good)); err != nil {
		t.Fatal(err)
	}
	change := func(from, to string) string {
		if !strings.Contains(good, from) {
			t.Fatalf("%s is not in it", from)
		}
		return strings.Replace(good, from, to, 1)
	}
	for name, b := range map[string]string{
		"nothing":                          "",
		"no object":                        `[]`,
		"something after it":               good + "{}",
		"half of it":                       good[:len(good)-1],
		"another type":                     change("Statement/v1", "Statement/v2"),
		"no type":                          change("_type", "type"),
		"no predicate type":                change(`"predicateType":"x"`, `"predicateType":""`),
		"a predicate type that is none":    change(`"predicateType":"x"`, `"predicateType":1`),
		"a predicate type that is long":    change(`"predicateType":"x"`, `"predicateType":"`+strings.Repeat("x", 1025)+`"`),
		"no predicate":                     change(`"predicate":`, `"other":`),
		"a predicate that is no object":    change(`{"b":{"c":1,"c":2}}`, `"text"`),
		"no subject":                       change(`[{"name":"a","digest":{"sha256":"00"}}]`, `[]`),
		"a subject that is none":           change(`{"name":"a","digest":{"sha256":"00"}}`, `1`),
		"a subject without a digest":       change(`{"sha256":"00"}`, `{}`),
		"a digest that is no text":         change(`"00"`, `0`),
		"a digest twice":                   change(`"sha256":"00"`, `"sha256":"00","sha256":"11"`),
		"a name that is no text":           change(`"name":"a"`, `"name":1`),
		"a predicate type twice":           change(`"predicateType":"x"`, `"predicateType":"x","predicateType":"y"`),
		"a predicate type in another case": change(`"predicateType":"x"`, `"predicateType":"x","PREDICATETYPE":"y"`),
		"a long s, which folds to an s":    change(`"subject":`, `"ſubject":[],"subject":`),
		"an escaped name":                  change(`"predicateType":"x"`, `"predicateType":"x","predicateTyp\u0065":"y"`),
		"too many subjects":                change(`{"name":"a","digest":{"sha256":"00"}}`, strings.Repeat(`{"digest":{"sha256":"00"}},`, 1024)+`{"digest":{"sha256":"00"}}`),
	} {
		t.Run(name, func(t *testing.T) {
			if s, err := evidence.Parse([]byte(b)); towpath.KindOf(err) != towpath.KindInvalid {
				t.Fatalf("%+v, %v", s, err)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	b, err := evidence.MakeSignature(release)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"_type":"https://in-toto.io/Statement/v0.1","subject":[{"digest":{"a":"b"}}],"predicateType":"x","predicate":{}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := evidence.Parse(b)
		if err != nil {
			return
		}
		// What the reference library reads, it reads the same way.
		var other intoto.Statement
		if (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(b, &other) != nil {
			return
		}
		if other.PredicateType != s.Type || len(other.Subject) != len(s.Subjects) {
			t.Fatalf("%+v is not %+v", s, &other)
		}
		for i, subject := range other.Subject {
			if len(subject.Digest) != len(s.Subjects[i].Digest) || subject.Digest["sha256"] != s.Subjects[i].Digest["sha256"] {
				t.Fatalf("%+v is not %+v", s, &other)
			}
		}
	})
}

func TestMakePromotion(t *testing.T) {
	at := time.Date(2026, 11, 20, 13, 0, 0, 0, time.FixedZone("CET", 3600))
	p := &towpath.Promotion{
		ID: "prm_1", Project: "shop", Environment: "prod", Deployment: "dep_1", Candidate: "cnd_1", Release: release, Version: "1.4.0",
		Commit: "4d3c", Phase: towpath.PromotionSucceeded, RequestedBy: "ana", RequestedAt: at, UpdatedAt: at.Add(time.Hour),
		Plan: &towpath.Plan{Hash: "sha256:p"}, PolicyVersion: "sha256:r",
		Verdicts: []towpath.Verdict{
			{Gate: towpath.GateSoak, Outcome: towpath.Allow, Inputs: []byte(`{"internal":"detail"}`), At: at},
			{Gate: towpath.GateApprovals, Outcome: towpath.Allow, Reasons: []string{"2 of 2"}, At: at},
		},
		Approvals: []towpath.Approval{
			{By: "cleo", Approve: true, Candidate: "cnd_1", PlanHash: "sha256:p", PolicyVersion: "sha256:r", Roles: []towpath.Role{towpath.RoleApprover}, At: at},
			{By: "bea", Approve: true, Candidate: "cnd_1", PlanHash: "sha256:p", PolicyVersion: "sha256:r", At: at},
			{By: "dan", Approve: false, Candidate: "cnd_1", PlanHash: "sha256:p", PolicyVersion: "sha256:r", At: at},
			{By: "eve", Approve: true, Candidate: "cnd_1", PlanHash: "sha256:lapsed", PolicyVersion: "sha256:r", At: at},
		},
	}
	b, err := evidence.MakePromotion(evidence.PromotionOf(p))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"_type":"https://in-toto.io/Statement/v1","predicate":{"approvers":[{"account":"bea","at":"2026-11-20T12:00:00Z"},` +
		`{"account":"cleo","at":"2026-11-20T12:00:00Z","roles":["approver"]}],"candidate":{"commit":"4d3c","id":"cnd_1","release":"` + string(release) + `","version":"1.4.0"},` +
		`"deployment":"dep_1","endedAt":"2026-11-20T13:00:00Z","environment":"prod","outcome":"succeeded","policyVersion":"sha256:r","project":"shop","promotion":"prm_1",` +
		`"requestedAt":"2026-11-20T12:00:00Z","requestedBy":"ana","verdicts":[{"at":"2026-11-20T12:00:00Z","gate":"approvals","outcome":"allow","reasons":["2 of 2"]},` +
		`{"at":"2026-11-20T12:00:00Z","gate":"soak","outcome":"allow"}]},"predicateType":"https://towpath.dev/attestation/promotion/v1",` +
		`"subject":[{"digest":{"sha256":"` + release.Hex() + `"},"name":"shop"}]}`
	if !bytes.Equal(b, []byte(want)) {
		t.Fatalf("%s\n%s", b, want)
	}
	for _, phase := range []towpath.PromotionPhase{towpath.PromotionWaiting, towpath.PromotionDeploying, ""} {
		p.Phase = phase
		if _, err := evidence.MakePromotion(evidence.PromotionOf(p)); towpath.KindOf(err) != towpath.KindConflict {
			t.Errorf("a promotion that is %q is attested: %v", phase, err)
		}
	}
}
