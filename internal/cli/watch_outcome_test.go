package cli

import (
	"testing"

	"github.com/towpath/towpath/internal/towpath"
)

func TestSnapshot_Outcome(t *testing.T) {
	promotion := func(p towpath.PromotionPhase) snapshot { return snapshot{promotion: &towpath.Promotion{Phase: p}} }
	deployment := func(p towpath.DeploymentPhase) snapshot {
		return snapshot{deployment: &towpath.Deployment{Phase: p}}
	}
	for name, tt := range map[string]struct {
		seen snapshot
		want int
	}{
		"a promotion that got there":         {promotion(towpath.PromotionSucceeded), 0},
		"an experiment that is over":         {promotion(towpath.PromotionConcluded), 0},
		"a promotion that was denied":        {promotion(towpath.PromotionDenied), ExitDenied},
		"a promotion that went back":         {promotion(towpath.PromotionRolledBack), ExitRolledBack},
		"a promotion that failed":            {promotion(towpath.PromotionFailed), ExitError},
		"a deployment that got there":        {deployment(towpath.DeploymentSucceeded), 0},
		"an experiment's deployment is over": {deployment(towpath.DeploymentConcluded), 0},
		"a deployment that went back":        {deployment(towpath.DeploymentRolledBack), ExitRolledBack},
		"nothing at all":                     {snapshot{}, ExitError},
	} {
		t.Run(name, func(t *testing.T) {
			got := 0
			if err := tt.seen.outcome(); err != nil {
				got = exitCode(t.Context(), err)
			}
			if got != tt.want {
				t.Errorf("exits %d, want %d", got, tt.want)
			}
		})
	}
}
