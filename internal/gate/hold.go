package gate

import (
	"fmt"

	"github.com/towpath/towpath/internal/towpath"
)

// hold makes automatic promotions wait while the environment is on hold. A
// promotion that a person asked for passes and says so: a hold stops what
// happens by itself, and the way forward after a rollback is a person's
// decision to promote the repair.
func hold(in Input) finding {
	h := in.Environment.Hold
	inputs := map[string]any{"hold": h, "mode": in.Promotion.Mode}
	if h == nil {
		return allow(inputs, fmt.Sprintf("There is no hold on %s.", in.Environment.Name))
	}
	said := fmt.Sprintf("%s is on hold, set by %s: %s.", in.Environment.Name, h.By, quote(h.Reason))
	if in.Promotion.Mode == towpath.PromotionManual {
		return allow(inputs, said, "A hold stops automatic promotions only, and a person asked for this one.")
	}
	return wait(inputs, fmt.Sprintf("towpath unhold %s, or promote by hand: towpath promote %s --to %[1]s",
		in.Environment.Name, label(in)), said, "Automatic promotions wait until it is lifted.")
}
