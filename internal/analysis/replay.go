package analysis

import (
	"bytes"
	"encoding/json"

	"github.com/towpath/towpath/internal/towpath"
)

// Replay judges again what a recorded judgement saw, and says whether it comes
// to the very same. The record is the JSON of a [Judgement]. What can't be read,
// or was judged by statistics that this program does not have, is an error of
// kind invalid.
func Replay(record []byte) (again Judgement, same bool, err error) {
	var recorded Judgement
	if err := json.Unmarshal(record, &recorded); err != nil {
		return Judgement{}, false, towpath.E(towpath.KindInvalid, "analysis.replay", "this is not a recorded judgement").
			WithHint("give the file as it was recorded").WithCause(err)
	}
	if recorded.Method != methodOf(recorded.Input) {
		return Judgement{}, false, towpath.E(towpath.KindInvalid, "analysis.replay",
			"it was judged by %q, and this towpath judges by %q", recorded.Method, methodOf(recorded.Input)).
			WithHint("replay it with the version of towpath that judged it")
	}
	again, err = Judge(recorded.Input)
	if err != nil {
		return Judgement{}, false, err
	}
	was, err := json.Marshal(recorded)
	if err != nil {
		return Judgement{}, false, unwritable(err)
	}
	is, err := json.Marshal(again)
	if err != nil {
		return Judgement{}, false, unwritable(err)
	}
	return again, bytes.Equal(was, is), nil
}

func unwritable(err error) error {
	return towpath.E(towpath.KindInternal, "analysis.replay", "a judgement can't be written").WithCause(err)
}
