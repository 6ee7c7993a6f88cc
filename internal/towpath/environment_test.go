package towpath

import "testing"

func TestEnvironment_Open(t *testing.T) {
	here := EnvironmentSpec{Name: "dev", Place: "eu-1", Components: nil}
	for name, tt := range map[string]struct {
		opened *Opening
		open   bool
	}{
		"by nobody":           {nil, false},
		"in its place":        {&Opening{Place: "eu-1", By: "ana"}, true},
		"in the place before": {&Opening{Place: "us-1", By: "ana"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			e := Environment{Rules: here, PolicyVersion: "sha256:1", Opened: tt.opened}
			if e.Open() != tt.open || (e.Proposal() == nil) != tt.open {
				t.Errorf("open: %t, proposal: %+v", e.Open(), e.Proposal())
			}
		})
	}
}
