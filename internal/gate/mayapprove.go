package gate

import (
	"fmt"
	"slices"

	"github.com/towpath/towpath/internal/towpath"
)

// MayNotApprove says why a yes would not count, as a sentence; empty when it
// would. The use case refuses such a yes at once instead of keeping one that
// helps nobody.
func MayNotApprove(in Input, a towpath.Approval) string {
	rule := in.Environment.Rules.Gates.Approvals
	if rule == nil {
		return ""
	}
	if !slices.ContainsFunc(a.Roles, func(r towpath.Role) bool { return slices.Contains(roles(*rule), r) }) {
		return fmt.Sprintf("%s is not %s in %s.", a.By, roleNames(*rule), in.Environment.Name)
	}
	if own := involvement(in, a.By); own != "" && !rule.Solo {
		return fmt.Sprintf("%s %s: nobody approves their own work.", a.By, own)
	}
	return ""
}
