package rollout

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/towpath/towpath/internal/towpath"
)

// release is one of components of a strategy, each with what it needs: "web: api".
func release(revision towpath.RevisionID, strategy towpath.RolloutStrategy, lines ...string) (*towpath.ReleaseContent, towpath.ReleaseEnvironment) {
	content, env := &towpath.ReleaseContent{}, towpath.ReleaseEnvironment{}
	for _, line := range lines {
		name, needs, _ := strings.Cut(line, ":")
		c := towpath.ReleaseComponent{Name: towpath.ComponentName(name), Rollout: towpath.RolloutSpec{Strategy: strategy}}
		for _, n := range strings.Fields(needs) {
			c.DependsOn = append(c.DependsOn, towpath.ComponentName(n))
		}
		content.Components = append(content.Components, c)
		env.Components = append(env.Components, towpath.RenderedComponent{Name: c.Name, Revision: revision})
	}
	return content, env
}

// goingBack is a rollback from one release to another.
func goingBack(to *towpath.ReleaseContent, env towpath.ReleaseEnvironment, from *towpath.ReleaseContent) *towpath.Deployment {
	var running []Running
	for _, c := range from.Components {
		running = append(running, Running{Component: c.Name, Revision: "newer"})
	}
	d := &towpath.Deployment{Kind: towpath.DeploymentRollback, Phase: towpath.DeploymentPreparing, Components: New(to, env, running, nil)}
	Back(d.Components, to, towpath.EnvironmentSpec{}, from)
	return d
}

// order carries a deployment out, and says in which order things moved and went.
func order(t *testing.T, d *towpath.Deployment) string {
	t.Helper()
	w := newWorld(d)
	w.judge = func() *towpath.Judgement { return nil }
	var got []string
	for i := 0; !towpath.DeploymentTransitions().Terminal(d.Phase); i++ {
		stuck := w.step(t, func(is Issue) towpath.OperationPhase {
			switch is.Verb {
			case towpath.VerbSwitch:
				got = append(got, string(is.Component))
			case towpath.VerbRemove:
				got = append(got, "-"+string(is.Component))
			}
			return towpath.OperationSucceeded
		})
		if stuck || i > 100 {
			t.Fatalf("it is stuck in %s after %v", d.Phase, got)
		}
	}
	return strings.Join(got, " ")
}

func TestNext_RollsBackInTheOrderOfDependents(t *testing.T) {
	for _, tt := range []struct {
		name     string
		to, from []string
		want     string
	}{
		{"what needs others moves before them", []string{"api:", "web: api"}, []string{"api:", "web: api"}, "web api"},
		{"also where only the newer release needs them", []string{"api:", "web:"}, []string{"api:", "web: api"}, "web api"},
		{"also where only the older one does", []string{"api:", "web: api"}, []string{"api:", "web:"}, "web api"},
		{"by way of others", []string{"api:", "web:"}, []string{"api:", "web: gate", "gate: api"}, "web api -gate"},
		{"releases that contradict each other: by the one that is gone back to", []string{"api: web", "web:"}, []string{"api:", "web: api"}, "api web"},
		{"what only the older one has comes before what needs it", []string{"api:", "cart: api store", "store: api"}, []string{"api:", "cart: api"}, "store cart api"},
		{"what only the newer one has goes last, after what needs it", []string{"web:"}, []string{"a:", "b: a", "web: b"}, "web -b -a"},
		{"also where the releases contradict each other", []string{"api: web", "web:"}, []string{"a:", "b: a", "api:", "web: api"}, "api web -b -a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			to, env := release("older", "", tt.to...)
			from, _ := release("newer", "", tt.from...)
			if got := order(t, goingBack(to, env, from)); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// A rollback that fails goes forward again, as a promotion does: what others need
// comes first.
func TestNext_UndoesARollbackTheOtherWayRound(t *testing.T) {
	to, env := release("older", "", "api:", "db:", "web: api")
	from, _ := release("newer", "", "api: db", "db:", "web: api")
	d := goingBack(to, env, from)
	w := newWorld(d)
	var restored []string
	for i := 0; !towpath.DeploymentTransitions().Terminal(d.Phase); i++ {
		stuck := w.step(t, func(is Issue) towpath.OperationPhase {
			if is.Verb == towpath.VerbRestore {
				restored = append(restored, string(is.Component))
			}
			if is.Verb == towpath.VerbSwitch && is.Component == "db" {
				return towpath.OperationFailed
			}
			return towpath.OperationSucceeded
		})
		if stuck || i > 100 {
			t.Fatalf("it is stuck in %s", d.Phase)
		}
	}
	if got := strings.Join(restored, " "); got != "db api web" {
		t.Errorf("they came back as %s", got)
	}
}

// A rollback that can't be undone leaves what needs the part that stays.
func TestNext_ARollbackThatIsStuckLeavesWhatNeedsIt(t *testing.T) {
	to, env := release("older", "", "api:", "web: api")
	from, _ := release("newer", "", "api:", "web: api")
	d := goingBack(to, env, from)
	d.Phase = towpath.DeploymentReverting
	for i := range d.Components {
		d.Components[i].Steps = []towpath.Step{{Verb: towpath.VerbSwitch, Phase: towpath.OperationSucceeded}}
	}
	api := named(d.Components, "api")
	api.Steps = append(api.Steps, towpath.Step{Verb: towpath.VerbRestore, Phase: towpath.OperationFailed, Message: "port taken"})
	dec := Next(d, Seen{})
	if dec.Trigger != towpath.TriggerGiveUp || !strings.HasSuffix(dec.Reason, "port taken; left as it is because it needs that: web") {
		t.Errorf("%+v", dec)
	}
}

// graph is what components need, as a test knows it.
type graph map[string][]string

func (g graph) lines() []string {
	var out []string
	for name, needs := range g {
		out = append(out, name+": "+strings.Join(needs, " "))
	}
	slices.Sort(out)
	return out
}

// withGraph is both together.
func (g graph) withGraph(o graph) graph {
	out := graph{}
	for _, x := range []graph{g, o} {
		for name, needs := range x {
			out[name] = append(out[name], needs...)
		}
	}
	return out
}

// circles reports whether one can walk on for longer than there are components.
func (g graph) circles() bool {
	at := map[string]bool{}
	for name := range g {
		at[name] = true
	}
	for range len(g) + 1 {
		next := map[string]bool{}
		for name := range at {
			for _, n := range g[name] {
				next[n] = true
			}
		}
		at = next
	}
	return len(at) > 0
}

// generatedGraph has some of five components, whose needs follow an order that is
// not that of their names.
func generatedGraph(t *rapid.T, what string) graph {
	g, order := graph{}, rapid.Permutation([]string{"a", "b", "c", "d", "e"}).Draw(t, what)
	for i, name := range order {
		if rapid.IntRange(0, 3).Draw(t, "there") == 0 {
			continue
		}
		g[name] = nil
		for _, other := range order[:i] {
			if _, there := g[other]; there && rapid.Bool().Draw(t, "needs") {
				g[name] = append(g[name], other)
			}
		}
	}
	return g
}

func TestNext_NothingMovesBackBeforeWhatNeedsIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		older, newer := generatedGraph(t, "older"), generatedGraph(t, "newer")
		strategy := rapid.SampledFrom([]towpath.RolloutStrategy{towpath.StrategyBlueGreen, towpath.StrategyAllAtOnce}).Draw(t, "strategy")
		to, env := release("older", strategy, older.lines()...)
		from, _ := release("newer", strategy, newer.lines()...)
		d := goingBack(to, env, from)
		heeded := older.withGraph(newer)
		if heeded.circles() {
			heeded = older
		}
		w := newWorld(d)
		w.ordered = func(t failer, is Issue, r *towpath.Rollout) {
			heeded.check(t, d, is, r)
			newer.checkRemoval(t, d, is, r)
		}
		failures := rapid.IntRange(0, 2).Draw(t, "failures")
		for i := 0; !towpath.DeploymentTransitions().Terminal(d.Phase); i++ {
			stuck := w.step(t, func(is Issue) towpath.OperationPhase {
				if failures > 0 && is.Verb != towpath.VerbRestore && rapid.IntRange(0, 5).Draw(t, "fails") == 0 {
					failures--
					return towpath.OperationFailed
				}
				return towpath.OperationSucceeded
			})
			if stuck || i > 500 {
				t.Fatalf("it does not end: %s", d.Phase)
			}
		}
		for _, r := range d.Components {
			want := r.From
			if d.Phase == towpath.DeploymentSucceeded {
				want = r.To
			}
			if w.traffic[r.Component] != want {
				t.Fatalf("after %s, %s has %q, want %q", d.Phase, r.Component, w.traffic[r.Component], want)
			}
		}
	})
}

// check holds an operation of a rollback against what needs what.
func (g graph) check(t failer, d *towpath.Deployment, is Issue, r *towpath.Rollout) {
	for _, other := range d.Components {
		itNeeds := slices.Contains(g[string(r.Component)], string(other.Component))
		needsIt := slices.Contains(g[string(other.Component)], string(r.Component))
		switch {
		case is.Verb == towpath.VerbSwitch && r.Action == towpath.ActionReplace && other.Action == towpath.ActionReplace && needsIt && !moved(&other):
			t.Fatalf("%s moves back before %s, which needs it", r.Component, other.Component)
		case is.Verb == towpath.VerbSwitch && other.Action == towpath.ActionCreate && itNeeds && !moved(&other):
			t.Fatalf("%s moves before %s, which it needs and nothing had", r.Component, other.Component)
		case is.Verb == towpath.VerbRemove && r.Action == towpath.ActionRemove && other.Action == towpath.ActionReplace && !moved(&other):
			t.Fatalf("%s goes away before %s has moved", r.Component, other.Component)
		case is.Verb == towpath.VerbRestore && other.Action == towpath.ActionReplace && itNeeds && touched(d, &other) && !back(&other):
			t.Fatalf("%s goes forward again before %s, which it needs", r.Component, other.Component)
		}
	}
}

// checkRemoval holds the end of a component against what needed it in the release
// that ran.
func (g graph) checkRemoval(t failer, d *towpath.Deployment, is Issue, r *towpath.Rollout) {
	if is.Verb != towpath.VerbRemove || r.Action != towpath.ActionRemove {
		return
	}
	for _, other := range d.Components {
		verb := towpath.VerbRetire
		if other.Action == towpath.ActionRemove {
			verb = towpath.VerbRemove
		}
		step, _ := other.Find(verb)
		needsIt := other.Action != towpath.ActionCreate && slices.Contains(g[string(other.Component)], string(r.Component))
		if needsIt && step.Phase != towpath.OperationSucceeded {
			t.Fatalf("%s goes away before %s, which needs it", r.Component, other.Component)
		}
	}
}

// promotion is a deployment of a release that replaces another one.
func promotion(to *towpath.ReleaseContent, env towpath.ReleaseEnvironment, from *towpath.ReleaseContent) *towpath.Deployment {
	var running []Running
	for _, c := range from.Components {
		running = append(running, Running{Component: c.Name, Revision: "older"})
	}
	slices.SortFunc(running, func(a, b Running) int { return cmp.Compare(a.Component, b.Component) })
	d := &towpath.Deployment{Kind: towpath.DeploymentPromotion, Phase: towpath.DeploymentPreparing, Components: New(to, env, running, nil)}
	Strategies(d.Components, to, from, env, towpath.EnvironmentSpec{})
	return d
}

func TestNext_RemovesAgainstTheDependencies(t *testing.T) {
	for _, tt := range []struct {
		name     string
		to, from []string
		want     string
	}{
		{"what needs others goes before them", []string{"web:"}, []string{"a:", "b: a", "c: b", "web:"}, "web -c -b -a"},
		{"whatever their names", []string{"web:"}, []string{"c:", "b: c", "a: b", "web:"}, "web -a -b -c"},
		{"by way of what stays", []string{"web:"}, []string{"a:", "web: a", "b: web"}, "web -b -a"},
		{"a circle holds nothing up", []string{"web:"}, []string{"a: b", "b: a", "web:"}, "web -b -a"},
		{"the first release removes nothing", []string{"web:"}, nil, "web"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			to, env := release("newer", "", tt.to...)
			from, _ := release("older", "", tt.from...)
			if got := order(t, promotion(to, env, from)); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
	t.Run("after the revisions that needed it have ended", func(t *testing.T) {
		to, env := release("newer", "", "web:")
		from, _ := release("older", "", "api:", "web: api")
		d := promotion(to, env, from)
		d.Phase = towpath.DeploymentRetiring
		dec := Next(d, Seen{})
		if len(dec.Issue) != 1 || dec.Issue[0].Verb != towpath.VerbRetire || dec.Issue[0].Component != "web" {
			t.Fatalf("%+v, while the old web may still call the api", dec)
		}
		web := named(d.Components, "web")
		web.Steps = append(web.Steps, towpath.Step{Verb: towpath.VerbRetire, Phase: towpath.OperationSucceeded})
		if dec := Next(d, Seen{}); len(dec.Issue) != 1 || dec.Issue[0].Verb != towpath.VerbRemove || dec.Issue[0].Component != "api" {
			t.Errorf("%+v", dec)
		}
	})
}

func TestNext_NothingGoesAwayBeforeWhatNeededIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		older := generatedGraph(t, "older")
		to, env := release("newer", "", generatedGraph(t, "newer").lines()...)
		from, _ := release("older", "", older.lines()...)
		d := promotion(to, env, from)
		w := newWorld(d)
		w.ordered = func(t failer, is Issue, r *towpath.Rollout) { older.checkRemoval(t, d, is, r) }
		failures := rapid.IntRange(0, 3).Draw(t, "failures")
		for i := 0; !towpath.DeploymentTransitions().Terminal(d.Phase); i++ {
			stuck := w.step(t, func(is Issue) towpath.OperationPhase {
				if failures > 0 && (is.Verb == towpath.VerbRemove || is.Verb == towpath.VerbRetire) && rapid.Bool().Draw(t, "fails") {
					failures--
					return towpath.OperationFailed
				}
				return towpath.OperationSucceeded
			})
			if stuck || i > 500 {
				t.Fatalf("it does not end: %s", d.Phase)
			}
		}
		if d.Phase != towpath.DeploymentSucceeded {
			t.Fatalf("it ended %s", d.Phase)
		}
	})
}

// A rollback from before there was an order goes on as it began.
func TestNext_ARollbackWithoutAnOrderEnds(t *testing.T) {
	to, env := release("older", "", "api:", "web: api")
	from, _ := release("newer", "", "api:", "web: api")
	d := goingBack(to, env, from)
	for i := range d.Components {
		d.Components[i].After = nil
	}
	if got := order(t, d); got != "api web" {
		t.Error(fmt.Sprint("it moves ", got))
	}
}
