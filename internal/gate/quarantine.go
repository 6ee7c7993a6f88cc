package gate

import (
	"fmt"
)

// quarantine denies a release that was revoked.
func quarantine(in Input) finding {
	inputs := map[string]any{"release": in.Candidate.Release, "quarantine": in.Quarantine}
	if in.Quarantine == nil {
		return allow(inputs, "The release is not quarantined.")
	}
	return deny(inputs, "promote another release; lifting the quarantine is a decision of an operator",
		fmt.Sprintf("The release was quarantined by %s: %s.", in.Quarantine.By, quote(in.Quarantine.Reason)))
}
