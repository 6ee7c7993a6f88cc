package evidence

import (
	"encoding/json"
	"time"
)

// BuiltAt is when a SLSA provenance says that its build began; zero: it does not
// say. Nothing of it is proven.
func BuiltAt(statement []byte) time.Time {
	s, err := Parse(statement)
	if err != nil || s.Type != TypeProvenance {
		return time.Time{}
	}
	var p struct {
		RunDetails struct {
			Metadata struct {
				StartedOn time.Time `json:"startedOn"`
			} `json:"metadata"`
		} `json:"runDetails"`
	}
	if json.Unmarshal(s.Predicate, &p) != nil {
		return time.Time{}
	}
	return p.RunDetails.Metadata.StartedOn
}
