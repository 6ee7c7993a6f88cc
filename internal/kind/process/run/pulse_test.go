package run

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/towpath"
)

func TestPulses(t *testing.T) {
	const key = "shop/prod/api"
	instances := []route.Instance{{ID: "a"}, {ID: "b"}}
	silent := errors.New("no answer")
	// Each letter is a check of the instances a and b: a, b or both of them fail,
	// or none does; A is a that was started again and answers, x one that fails.
	for name, tt := range map[string]struct {
		checks string
		apart  time.Duration
		before []string // that were out when the agent began
		want   []string
	}{
		"two failures are not enough":                       {checks: "aa"},
		"three in a row are":                                {checks: "aaa", want: []string{"a"}},
		"three with an answer in between are not":           {checks: "aa.aa"},
		"one answer does not bring it back":                 {checks: "aaa.", want: []string{"a"}},
		"two do":                                            {checks: "aaa.."},
		"two with a failure in between do not":              {checks: "aaa.a.", want: []string{"a"}},
		"all that fail stay in":                             {checks: "222"},
		"the last one that answers keeps the others out":    {checks: "aaa22", want: []string{"a"}},
		"when that fails too all are in":                    {checks: "aaa222"},
		"and who answers first has the requests":            {checks: "aaa222b", want: []string{"b"}},
		"checks that come at once count once":               {checks: "aaaaaa", apart: time.Millisecond},
		"an agent that was restarted leaves out who is":     {before: []string{"a"}, want: []string{"a"}},
		"until it has answered twice":                       {checks: "..", before: []string{"a"}},
		"what was started again begins anew":                {checks: "aaAaa"},
		"and so does what fails again":                      {checks: "aax"},
		"what was started again while out has to answer":    {checks: "aaaA", want: []string{"a"}},
		"and is in when it has":                             {checks: "aaaAA"},
		"all that were out and nobody has asked yet are in": {before: []string{"a", "b"}},
	} {
		t.Run(name, func(t *testing.T) {
			p, now, out, start := &pulses{}, time.Unix(1_000_000, 0), tt.before, 1
			for _, c := range tt.checks {
				a, b := answered{id: "a", start: start}, answered{id: "b", start: 1}
				switch c {
				case 'A':
					start = 2
					a.start = 2
				case 'x':
					start = 2
					a.start, a.err = 2, silent
				case 'a':
					a.err = silent
				case 'b':
					b.err = silent
				case '2':
					a.err, b.err = silent, silent
				}
				p.note(key, []answered{a, b}, now)
				out = p.out(key, instances, out)
				if tt.apart == 0 {
					tt.apart = 5 * time.Second
				}
				now = now.Add(tt.apart)
			}
			if out = p.out(key, instances, out); !slices.Equal(out, tt.want) {
				t.Errorf("%v are out, want %v", out, tt.want)
			}
		})
	}
	t.Run("a target that is gone is forgotten", func(t *testing.T) {
		p := &pulses{}
		rec := &target{Target: towpath.Target{Project: "shop", Environment: "prod", Component: "api"}}
		p.note(rec.Target.Key(), []answered{{id: "a"}}, time.Unix(1_000_000, 0))
		if p.forget([]*target{rec}); len(p.known) != 1 {
			t.Error("one that is there is forgotten, too")
		}
		if p.forget(nil); len(p.known) != 0 {
			t.Error("it is not")
		}
	})
}
