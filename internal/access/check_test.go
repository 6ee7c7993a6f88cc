package access

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/towpath/towpath/internal/towpath"
)

var update = flag.Bool("update", false, "write the golden files")

func TestCheck_EveryRoleAndVerb(t *testing.T) {
	var b strings.Builder
	fmt.Fprintf(&b, "%-18s", "")
	for _, r := range towpath.Roles() {
		fmt.Fprintf(&b, " %-9s", r)
	}
	b.WriteString(" nobody   towpath\n")
	for _, v := range Verbs() {
		fmt.Fprintf(&b, "%-18s", v)
		subject := Subject{Project: "shop", Environment: "prod", Place: "local", Account: "other"}
		actors := []towpath.Actor{}
		for _, r := range towpath.Roles() {
			actors = append(actors, towpath.Actor{Account: "ana", Token: "tok_1", Grants: []towpath.Grant{{Role: r}}})
		}
		actors = append(actors, towpath.Actor{Account: "ana", Token: "tok_1"}, towpath.System())
		for _, a := range actors {
			answer := "-"
			if Check(a, v, subject) == nil {
				answer = "yes"
			}
			fmt.Fprintf(&b, " %-9s", answer)
		}
		b.WriteString("\n")
	}
	var lines []string
	for _, l := range strings.Split(b.String(), "\n") {
		lines = append(lines, strings.TrimRight(l, " "))
	}
	got := strings.Join(lines, "\n")
	golden := filepath.Join("testdata", "roles.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("the table differs from %s (-want +got):\n%s", golden, diff)
	}
}

func TestCheck_Scope(t *testing.T) {
	grant := func(role towpath.Role, scope Subject) towpath.Actor {
		return towpath.Actor{Account: "ana", Token: "tok_1", Grants: []towpath.Grant{{Role: role, Project: scope.Project, Environment: scope.Environment, Place: scope.Place}}}
	}
	prod, dev := Subject{Project: "shop", Environment: "prod"}, Subject{Project: "shop", Environment: "dev"}
	shop, billing := Subject{Project: "shop"}, Subject{Project: "billing"}
	for _, tt := range []struct {
		name    string
		actor   towpath.Actor
		verb    Verb
		subject Subject
		want    bool
	}{
		{"a role everywhere reaches an environment", grant("approver", Subject{}), PromotionApprove, prod, true},
		{"a role in a project reaches its environments", grant("approver", shop), PromotionApprove, prod, true},
		{"a role in an environment reaches it", grant("approver", prod), PromotionApprove, prod, true},
		{"a role in an environment does not reach another", grant("approver", dev), PromotionApprove, prod, false},
		{"a role in a project does not reach another", grant("approver", billing), PromotionApprove, prod, false},
		{"a role in an environment of any project reaches it", grant("approver", Subject{Environment: "prod"}), PromotionApprove, prod, true},
		{"a role in an environment does not reach the project", grant("releaser", dev), ReleasePublish, shop, false},
		{"a role in an environment reads the project's releases", grant("approver", prod), ReleaseRead, shop, true},
		{"it does not read another project's releases", grant("approver", prod), ReleaseRead, billing, false},
		{"a role in a project does not read all projects' releases", grant("viewer", shop), ReleaseRead, Subject{}, false},
		{"a role in an environment does not read the whole ledger", grant("viewer", prod), AuditRead, shop, false},
		{"a role in an environment does not quarantine", grant("operator", prod), Quarantine, shop, false},
		{"an operator of a project does not freeze everything", grant("operator", shop), Freeze, Subject{}, false},
		{"an operator of everything freezes everything", grant("operator", Subject{}), Freeze, Subject{}, true},
		{"a check for all environments needs a role in all of them", grant("releaser", dev), CheckPost, shop, false},
		{"an agent of a place works there", grant("agent", Subject{Place: "local"}), AgentWork, Subject{Project: "shop", Environment: "prod", Place: "local"}, true},
		{"an agent of a place connects", grant("agent", Subject{Place: "local", Project: "shop"}), AgentWork, Subject{Place: "local"}, true},
		{"an agent does not work in another place", grant("agent", Subject{Place: "local"}), AgentWork, Subject{Place: "far"}, false},
		{"an agent of a project does not work for another", grant("agent", Subject{Place: "local", Project: "shop"}), AgentWork, Subject{Place: "local", Project: "billing"}, false},
		{"an agent of a place reads no releases", grant("agent", Subject{Place: "local"}), ReleaseRead, shop, false},
		{"one manages one's own tokens", towpath.Actor{Account: "ana", Token: "tok_1"}, TokenManage, Subject{Account: "ana"}, true},
		{"one does not manage the tokens of others", grant("operator", Subject{}), TokenManage, Subject{Account: "ben"}, false},
		{"an admin of a project does not manage tokens", grant("admin", shop), TokenManage, Subject{Account: "ben"}, false},
		{"an admin manages the tokens of others", grant("admin", Subject{}), TokenManage, Subject{Account: "ben"}, true},
		{"nobody manages the tokens of no account", towpath.Actor{}, TokenManage, Subject{}, false},
		{"an admin does not approve for being admin of another project", grant("admin", billing), PromotionApprove, prod, false},
		{"an admin does not roll back", grant("admin", Subject{}), Rollback, prod, false},
		{"an unknown verb is refused", grant("admin", Subject{}), "world.end", Subject{}, false},
		{"the system rolls back", towpath.System(), Rollback, prod, true},
		{"the system does not approve", towpath.System(), PromotionApprove, prod, false},
		{"an account with the system's name is not the system", towpath.Actor{Account: "towpath", Token: "tok_1"}, Rollback, prod, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := Check(tt.actor, tt.verb, tt.subject)
			if (err == nil) != tt.want {
				t.Errorf("allowed: %t, want %t: %v", err == nil, tt.want, err)
			}
			if err != nil && towpath.KindOf(err) != towpath.KindForbidden {
				t.Errorf("the kind of %v is %s", err, towpath.KindOf(err))
			}
		})
	}
}

func TestHeld(t *testing.T) {
	bob := towpath.Actor{Account: "bob", Token: "tok_1", Grants: []towpath.Grant{
		{Role: "operator", Project: "shop"}, {Role: "admin", Place: "edge"}, {Role: "approver", Project: "shop", Environment: "dev"}, {Role: "promoter"},
	}}
	if got := Held(bob, PromotionApprove, Subject{Project: "shop", Environment: "prod"}); !slices.Equal(got, []towpath.Role{"operator"}) {
		t.Errorf("what is held elsewhere, and what may not approve, counts: %v", got)
	}
	if got := Held(bob, EnvironmentOpen, Subject{Project: "shop", Environment: "prod", Place: "edge"}); !slices.Equal(got, []towpath.Role{"admin"}) {
		t.Errorf("at its place: %v", got)
	}
}

func TestCheck_SaysWhoWhatAndWhichRole(t *testing.T) {
	ana := towpath.Actor{Account: "ana", Token: "tok_1", Grants: []towpath.Grant{{Role: "promoter", Project: "shop", Environment: "dev"}, {Role: "viewer"}}}
	message, hint := towpath.PublicMessage(Check(ana, PromotionRequest, Subject{Project: "shop", Environment: "prod"}))
	if want := "ana may not request promotions (shop/prod)"; message != want {
		t.Errorf("the message is %q, want %q", message, want)
	}
	if want := "it needs the role promoter in shop/prod; an admin can grant it (ana is promoter in shop/dev only)"; hint != want {
		t.Errorf("the hint is %q, want %q", hint, want)
	}
	_, hint = towpath.PublicMessage(Check(ana, Freeze, Subject{}))
	if want := "it needs the role operator or admin in everything; an admin can grant it"; hint != want {
		t.Errorf("the hint is %q, want %q", hint, want)
	}
}

func TestCheck_AGrantNeverTakesAway(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		grant := rapid.Custom(func(t *rapid.T) towpath.Grant {
			return towpath.Grant{
				Role:        rapid.SampledFrom(towpath.Roles()).Draw(t, "role"),
				Project:     rapid.SampledFrom([]towpath.ProjectName{"", "shop", "billing"}).Draw(t, "project"),
				Environment: rapid.SampledFrom([]towpath.EnvironmentName{"", "dev", "prod"}).Draw(t, "environment"),
				Place:       rapid.SampledFrom([]towpath.PlaceName{"", "local"}).Draw(t, "place"),
			}
		})
		actor := towpath.Actor{Account: "ana", Token: "tok_1", Grants: rapid.SliceOfN(grant, 0, 3).Draw(t, "grants")}
		more := actor
		more.Grants = append(slices.Clone(actor.Grants), grant.Draw(t, "more"))
		v := rapid.SampledFrom(Verbs()).Draw(t, "verb")
		s := Subject{
			Project:     rapid.SampledFrom([]towpath.ProjectName{"", "shop", "billing"}).Draw(t, "of project"),
			Environment: rapid.SampledFrom([]towpath.EnvironmentName{"", "dev", "prod"}).Draw(t, "of environment"),
		}
		allowed := Check(actor, v, s) == nil
		if allowed && Check(more, v, s) != nil {
			t.Fatal("one more grant took a right away")
		}
		if (len(Held(actor, v, s)) > 0) != allowed {
			t.Fatalf("allowed: %t, by the roles %v", allowed, Held(actor, v, s))
		}
		all, names := Projects(actor, v)
		for _, p := range []towpath.ProjectName{"shop", "billing"} {
			if ok := Check(actor, v, Subject{Project: p}) == nil; ok != (all || slices.Contains(names, p)) {
				t.Fatalf("Projects has %v (all %t), and %s by itself is %t", names, all, p, ok)
			}
		}
	})
}

func TestProjects(t *testing.T) {
	ana := towpath.Actor{Account: "ana", Token: "tok_1", Grants: []towpath.Grant{{Role: "viewer", Project: "shop"}, {Role: "approver", Project: "billing", Environment: "prod"}, {Role: "agent"}}}
	if all, names := Projects(ana, ReleaseRead); all || !slices.Equal(names, []towpath.ProjectName{"billing", "shop"}) {
		t.Errorf("got %t, %v", all, names)
	}
	ana.Grants = append(ana.Grants, towpath.Grant{Role: "viewer"})
	if all, names := Projects(ana, ReleaseRead); !all || names != nil {
		t.Errorf("got %t, %v", all, names)
	}
	if all, names := Projects(towpath.Actor{Grants: ana.Grants}, ReleaseRead); all || names != nil {
		t.Errorf("an anonymous caller sees %t, %v", all, names)
	}
	eve := towpath.Actor{Account: "eve", Token: "tok_2", Grants: []towpath.Grant{
		{Role: "releaser", Project: "shop"}, {Role: "operator", Place: "eu"}, {Role: "alerter", Project: "billing", Environment: "prod"},
	}}
	if all, names := Projects(eve, RegistryPull); all || !slices.Equal(names, []towpath.ProjectName{"shop"}) {
		t.Errorf("got %t, %v: a grant at one place is none in every project", all, names)
	}
	if !Somewhere(eve, AlertPost) || Somewhere(eve, ServerManage) || Somewhere(towpath.Actor{Grants: eve.Grants}, AlertPost) {
		t.Error("what may be done somewhere is another than what the grants say")
	}
}

func TestVerbs_EachHasARowWithRoles(t *testing.T) {
	seen := map[Verb]bool{}
	for _, r := range table() {
		if seen[r.verb] {
			t.Errorf("%s has two rows", r.verb)
		}
		seen[r.verb] = true
		if len(Roles(r.verb)) == 0 || r.does == "" {
			t.Errorf("%s has no roles or no words", r.verb)
		}
	}
}

func TestWithin(t *testing.T) {
	agent := func(g ...towpath.Grant) towpath.Actor {
		for i := range g {
			g[i].Role = towpath.RoleAgent
		}
		return towpath.Actor{Account: "host", Token: "tok_1", Grants: g}
	}
	for _, tt := range []struct {
		name  string
		actor towpath.Actor
		want  Scope
	}{
		{"an agent of the place", agent(towpath.Grant{Place: "eu"}), Scope{All: true}},
		{"an agent of every place", agent(towpath.Grant{}), Scope{All: true}},
		{"an agent of another place", agent(towpath.Grant{Place: "us"}), Scope{}},
		{"an agent of a project", agent(towpath.Grant{Project: "shop", Place: "eu"}, towpath.Grant{Project: "billing", Place: "us"}), Scope{In: []Subject{{Project: "shop"}}}},
		{
			"an agent of environments, twice", agent(towpath.Grant{Environment: "prod"}, towpath.Grant{Project: "shop", Environment: "dev"}, towpath.Grant{Environment: "prod", Place: "eu"}),
			Scope{In: []Subject{{Environment: "prod"}, {Project: "shop", Environment: "dev"}}},
		},
		{"a project's agent with a grant for all", agent(towpath.Grant{Project: "shop"}, towpath.Grant{Place: "eu"}), Scope{All: true}},
		{"who has another role", towpath.Actor{Account: "ana", Token: "tok_1", Grants: []towpath.Grant{{Role: towpath.RoleAdmin}}}, Scope{}},
		{"nobody", towpath.Actor{Grants: agent(towpath.Grant{}).Grants}, Scope{}},
		{"the system", towpath.System(), Scope{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, Within(tt.actor, AgentWork, "eu")); d != "" {
				t.Error(d)
			}
		})
	}
}
