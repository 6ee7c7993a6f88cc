package cli

import (
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/deploy"
	"github.com/towpath/towpath/internal/towpath"
)

func TestShowVerification(t *testing.T) {
	for want, phases := range map[string][]towpath.OperationPhase{
		"1.0.0 is being verified in prod":        {towpath.OperationSucceeded, towpath.OperationRunning},
		"1.0.0 is verified in prod":              {towpath.OperationSucceeded, towpath.OperationSucceeded},
		"1.0.0 was not verified again in prod":   {towpath.OperationSucceeded, towpath.OperationCancelled},
		"1.0.0 is not verified any more in prod": {towpath.OperationFailed, towpath.OperationCancelled},
	} {
		t.Run(want, func(t *testing.T) {
			v := deploy.Verification{Environment: "prod", Version: "1.0.0", Done: true, Passed: true}
			for _, phase := range phases {
				v.Components = append(v.Components, deploy.ComponentVerification{Component: "api", Phase: phase})
				v.Done = v.Done && towpath.OperationTransitions().Terminal(phase)
				v.Passed = v.Passed && phase == towpath.OperationSucceeded
			}
			p := &page{}
			showVerification(p, v)
			if got, _, _ := strings.Cut(p.String(), "\n"); got != want {
				t.Errorf("got %q", got)
			}
		})
	}
}
