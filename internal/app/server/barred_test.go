package server

import (
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/towpath"
)

// A plan that nobody may make says so: the agent of the place lives, and is given
// nothing of the project.
func TestServer_SaysThatTheAgentMayNotWork(t *testing.T) {
	const barred = "the agent of place local may not work for shop/dev: "
	for name, tt := range map[string]struct {
		project towpath.ProjectName // that the agent works for
		says    string
	}{
		"that the agent of another project may not": {"billing", barred},
		"nothing of one that may":                   {shop, "the agent computes what would change"},
		"nothing of one that may work for all":      {"", "the agent computes what would change"},
	} {
		t.Run("says "+name, func(t *testing.T) {
			h := newHarness(t)
			h.away()
			_, err := h.svc.Projects.Register(t.Context(), h.ana, "billing", h.repo.Dir)
			must(t, 0, err)
			_, err = h.svc.Accounts.Create(t.Context(), h.ana, "host-1", nil)
			must(t, 0, err)
			_, err = h.svc.Accounts.Grant(t.Context(), h.ana, "host-1", towpath.Grant{Role: towpath.RoleAgent, Place: "local", Project: tt.project})
			must(t, 0, err)
			h.publish("1.0.0", "one")
			h.until("it says "+tt.says, func() bool {
				return strings.HasPrefix(h.promotion("dev", "1.0.0", towpath.PromotionPlanning).Reason, tt.says)
			})
		})
	}
}
