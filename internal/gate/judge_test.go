package gate

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/towpath/towpath/internal/towpath"
)

func TestJudge_AllowsWhenEverythingIsInOrder(t *testing.T) {
	got := Judge(passing())
	var gates []towpath.GateName
	for _, v := range got {
		gates = append(gates, v.Gate)
		if v.Outcome != towpath.Allow {
			t.Errorf("%s says %s: %s", v.Gate, v.Outcome, v.Reasons)
		}
	}
	if diff := cmp.Diff(Gates(), gates); diff != "" {
		t.Errorf("the gates differ (-want +got):\n%s", diff)
	}
	if len(judges()) != len(Gates()) {
		t.Errorf("%d gates are judged and %d are listed", len(judges()), len(Gates()))
	}
}

func TestJudge_NothingIsAllowedOnNoEvidence(t *testing.T) {
	in := passing()
	in = Input{Now: in.Now, Promotion: in.Promotion, Environment: in.Environment, Candidate: in.Candidate, Released: in.Released, Requires: in.Requires}
	if got := Summarise(Judge(in)); got != towpath.Wait {
		t.Errorf("the outcome is %s, want %s", got, towpath.Wait)
	}
	if got := Summarise(Judge(Input{})); got == towpath.Allow {
		t.Error("an empty input is allowed")
	}
}

func TestSummarise(t *testing.T) {
	of := func(outcomes ...towpath.Outcome) []towpath.Verdict {
		var out []towpath.Verdict
		for _, o := range outcomes {
			out = append(out, towpath.Verdict{Outcome: o})
		}
		return out
	}
	for _, tt := range []struct {
		name     string
		verdicts []towpath.Verdict
		want     towpath.Outcome
	}{
		{"allows when all allow", of(towpath.Allow, towpath.Allow), towpath.Allow},
		{"waits when one waits", of(towpath.Allow, towpath.Wait), towpath.Wait},
		{"denies when one denies, whatever waits", of(towpath.Wait, towpath.Deny, towpath.Allow), towpath.Deny},
		{"waits on an outcome that it does not know", of(towpath.Allow, "splendid"), towpath.Wait},
		{"waits on no verdicts", nil, towpath.Wait},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Summarise(tt.verdicts); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestPolicyVersion(t *testing.T) {
	rules := passing().Environment.Rules
	rules.Gates.Signed, rules.Gates.Provenance, rules.Gates.SBOM, rules.Gates.Scan, rules.Gates.Mirrored = nil, nil, nil, nil, false // they came later
	base := PolicyVersion(rules)
	// Approvals are bound to it: it must not change with the program.
	if want := towpath.Digest("sha256:1ed4113aea92740e71f6140cf2f471823d65350ac58b35628bcdcf25d3b195e7"); base != want {
		t.Errorf("the policy version is %s, want %s", base, want)
	}
	rules.Components = map[towpath.ComponentName]json.RawMessage{"api": []byte(`{"instances":2}`)}
	if got := PolicyVersion(rules); got != base {
		t.Error("the settings of components are no rules and changed the policy version")
	}
	rules.Gates.Approvals = &towpath.ApprovalRule{Count: 2}
	if got := PolicyVersion(rules); got == base {
		t.Error("another rule has the same policy version")
	}
}

func TestJudge_AGateThatErrorsNeverPasses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := arbitrary(t)
		in.Errors = map[towpath.GateName]Unknown{}
		for _, g := range Gates() {
			if rapid.Bool().Draw(t, "errs") {
				in.Errors[g] = Unknown{Why: "it does not answer"}
			}
		}
		got := Judge(in)
		for _, v := range got {
			if _, errs := in.Errors[v.Gate]; errs && v.Outcome != towpath.Wait {
				t.Fatalf("%s errs and says %s", v.Gate, v.Outcome)
			}
		}
		if len(in.Errors) > 0 && Summarise(got) == towpath.Allow {
			t.Fatal("it is allowed all the same")
		}
	})
}

// TestJudge_saysWhatHelps: who waits for what can't be had by waiting waits for ever.
func TestJudge_saysWhatHelps(t *testing.T) {
	for name, tt := range map[string]struct {
		unknown Unknown
		hint    string
	}{
		"what may be had later": {Unknown{Why: "it does not answer"}, "it is tried again by itself"},
		"what is lost":          {Unknown{Why: "there is no such blob", Helps: "push it again"}, "push it again"},
	} {
		t.Run(name, func(t *testing.T) {
			in := passing()
			in.Errors = map[towpath.GateName]Unknown{towpath.GateSigned: tt.unknown}
			i := slices.IndexFunc(Judge(in), func(v towpath.Verdict) bool { return v.Gate == towpath.GateSigned })
			if v := Judge(in)[i]; v.Hint != tt.hint || len(v.Reasons) != 1 || !strings.HasSuffix(v.Reasons[0], tt.unknown.Why+".") {
				t.Errorf("it says %q, and %q", v.Reasons, v.Hint)
			}
		})
	}
}

func TestJudge_NobodyApprovesTheirOwnWork(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := arbitrary(t)
		rule := towpath.ApprovalRule{Count: rapid.IntRange(-1, 3).Draw(t, "count"), Roles: rapid.SampledFrom([][]towpath.Role{nil, {"approver"}, {"operator", "admin"}}).Draw(t, "roles")}
		in.Environment.Rules.Gates.Approvals = &rule
		own := []towpath.AccountName{in.Promotion.RequestedBy}
		for _, a := range in.Authors {
			if a.Account != "" {
				own = append(own, a.Account)
			}
		}
		in.Approvals = nil
		for _, who := range rapid.SliceOfN(rapid.SampledFrom(own), 0, 6).Draw(t, "who") {
			a := yes(passing(), who)
			a.PolicyVersion, a.Roles = PolicyVersion(in.Environment.Rules), towpath.Roles()
			if in.Plan != nil {
				a.PlanHash = in.Plan.Hash
			}
			in.Approvals = append(in.Approvals, a)
		}
		if v := verdict(t, in, towpath.GateApprovals); v.Outcome == towpath.Allow {
			t.Fatalf("it is allowed: %s", v.Reasons)
		}
	})
}

// TestInput_HasNoRoomForTheCandidatesRules: what a candidate proposes can't
// change a verdict, for it is nowhere in the input.
func TestInput_HasNoRoomForTheCandidatesRules(t *testing.T) {
	var found []string
	var walk func(path string, typ reflect.Type)
	walk = func(path string, typ reflect.Type) {
		switch typ.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			walk(path, typ.Elem())
		case reflect.Struct:
			if typ == reflect.TypeFor[towpath.EnvironmentSpec]() || typ == reflect.TypeFor[towpath.ReleaseContent]() || typ == reflect.TypeFor[towpath.ProjectSpec]() {
				found = append(found, path)
				return
			}
			for i := range typ.NumField() {
				walk(path+"."+typ.Field(i).Name, typ.Field(i).Type)
			}
		}
	}
	walk("Input", reflect.TypeFor[Input]())
	if diff := cmp.Diff([]string{"Input.Environment.Rules"}, found); diff != "" {
		t.Errorf("rules reach the gates from elsewhere (-want +got):\n%s", diff)
	}
}

func TestJudge_TheCandidatesOwnPolicyChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := arbitrary(t)
		before := Judge(in)
		// What the candidate proposes is all that a caller could mix up with
		// the rules in force: its policy version on the records.
		loosened := in.Environment.Rules
		loosened.Gates = towpath.GateRules{}
		in.Promotion.PolicyVersion, in.Environment.PolicyVersion = PolicyVersion(loosened), PolicyVersion(loosened)
		if diff := cmp.Diff(before, Judge(in)); diff != "" {
			t.Fatalf("the verdicts differ:\n%s", diff)
		}
	})
}

func TestJudge_DoesNotDependOnTheOrderOfEvidence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := arbitrary(t)
		before := Judge(in)
		in.Upstream = shuffle(t, in.Upstream)
		in.Freezes = shuffle(t, in.Freezes)
		in.Approvals = shuffle(t, in.Approvals)
		in.Authors = shuffle(t, in.Authors)
		in.Checks = shuffle(t, in.Checks)
		in.Requires = shuffle(t, in.Requires)
		in.Running = shuffle(t, in.Running)
		in.Foreign = shuffle(t, in.Foreign)
		in.Lost = shuffle(t, in.Lost)
		in.Rules = shuffle(t, in.Rules)
		after := Judge(in)
		if diff := cmp.Diff(before, after); diff != "" {
			t.Fatalf("the verdicts differ:\n%s", diff)
		}
		for i := range before {
			if !bytes.Equal(before[i].Inputs, after[i].Inputs) {
				t.Fatalf("the inputs of %s differ", before[i].Gate)
			}
		}
	})
}

func TestJudge_LeavesItsInputAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := arbitrary(t)
		before := canonical(in)
		Judge(in)
		if diff := cmp.Diff(string(before), string(canonical(in))); diff != "" {
			t.Fatalf("the input changed:\n%s", diff)
		}
	})
}

func TestWindows_UntilIsTheFirstOpenMoment(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := arbitrary(t)
		in.Environment.Rules.Gates.Windows = rapid.SliceOfN(arbitraryWindow(), 1, 3).Draw(t, "windows")
		v := verdict(t, in, towpath.GateWindows)
		if v.Until.IsZero() {
			return
		}
		if !v.Until.After(in.Now) {
			t.Fatalf("it opens at %s, which is not after %s", v.Until, in.Now)
		}
		open := func(at Input) bool { return windows(at).outcome == towpath.Allow }
		then := in
		then.Now = v.Until
		if !open(then) {
			t.Fatalf("it is not open at %s", v.Until)
		}
		// Windows are of whole minutes: no whole minute before is open.
		for m := v.Until.Add(-minute); m.After(in.Now) && v.Until.Sub(m) < 2*day; m = m.Add(-13 * minute) {
			then.Now = m
			if open(then) {
				t.Fatalf("it is open at %s already, before %s", m, v.Until)
			}
		}
	})
}
