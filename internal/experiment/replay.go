package experiment

import (
	"bytes"
	"encoding/json"
	"reflect"

	"github.com/towpath/towpath/internal/towpath"
)

// Record is a report with the evidence it was made of.
type Record struct {
	Report   Report   `json:"report"`
	Evidence Evidence `json:"evidence"`
}

// Replay makes the report of a [Record] in JSON again, and says whether it is
// the same.
func Replay(raw []byte) (Record, bool, error) {
	const op = "experiment.replay"
	var was Record
	d := json.NewDecoder(bytes.NewReader(raw))
	if err := d.Decode(&was); err != nil {
		return Record{}, false, towpath.E(towpath.KindInvalid, op, "this is no report of an experiment").WithCause(err).
			WithHint("give what `towpath experiment report -o json` printed")
	}
	now, err := Judge(was.Evidence)
	if err != nil {
		return Record{}, false, err
	}
	return Record{Report: now, Evidence: was.Evidence}, reflect.DeepEqual(now, was.Report), nil
}
