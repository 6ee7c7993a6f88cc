package run_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/kind/process"
	"github.com/towpath/towpath/internal/towpath"
)

// asked is an entry of an HTTP archive.
func asked(method, url string, status int) map[string]any {
	return map[string]any{
		"request": map[string]any{"method": method, "url": url, "headers": []any{
			map[string]any{"name": ":authority", "value": "shop.example"}, map[string]any{"name": "connection", "value": "close, x-more"},
		}},
		"response": map[string]any{"status": status},
	}
}

func har(entries ...any) string {
	b, err := json.Marshal(map[string]any{"log": map[string]any{"version": "1.2", "entries": entries}})
	if err != nil {
		panic(err)
	}
	return string(b)
}

func TestRunner_Verify_Replay(t *testing.T) {
	good, none := asked("GET", "https://shop.example/?page=1", 200), asked("GET", "https://shop.example/none", 404)
	bad, post := asked("GET", "https://shop.example/none", 200), asked("POST", "https://shop.example/none", 200)
	many := make([]any, 100)
	for i := range many {
		many[i] = good
	}
	most := append(many[:98:98], bad, bad)
	for _, c := range []struct {
		name string
		file string
		job  process.Replay
		fail string // in the failure's message; "" passes
	}{
		{"passes answers that are as they were", har(good, none), process.Replay{}, ""},
		{"fails another status, and says which", har(good, bad), process.Replay{}, "1 of 2 recorded requests were answered wrongly, and 0 % may be; the first: GET /none answered 404, and 200 when it was recorded"},
		{"sends no other methods", har(good, post), process.Replay{}, ""},
		{"sends those it is told to", har(good, post), process.Replay{Methods: []string{"GET", "POST"}}, "the first: POST /none answered 404"},
		{"allows a part to be wrong", har(most...), process.Replay{Allow: 2}, ""},
		{"allows no more", har(most...), process.Replay{Allow: 1.9}, "2 of 100 recorded requests were answered wrongly"},
		{"wants less than 500 where nothing was recorded", har(asked("GET", "/none", 0)), process.Replay{}, ""},
		{"fails what takes too long", har(good), process.Replay{Within: time.Nanosecond}, "GET /?page=1 took longer than 1ns"},
		{"refuses what takes longer than it may", har(many...), process.Replay{Rate: 2}, "can't replay 100 requests, 2 a second, within 20s"},
		{"refuses a file that is missing", "", process.Replay{}, "nothing to replay: the release has no file old.har"},
		{"refuses what is no archive", "yesterday", process.Replay{}, "old.har is no HTTP archive (HAR)"},
		{"refuses an archive without a request", har(post), process.Replay{}, "old.har has no request by GET among its 1"},
		{"refuses an entry that is none", har(map[string]any{}), process.Replay{}, "entry 0 of old.har is no request"},
		{"reads nothing outside of the release", "", process.Replay{Requests: "out/old.har"}, "nothing to replay: out/old.har can't be read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newHand(t)
			outside := t.TempDir()
			h.must(os.WriteFile(filepath.Join(outside, "old.har"), []byte(har(good)), 0o600))
			h.must(os.Symlink(outside, filepath.Join(h.files, "out")))
			if c.file != "" {
				h.must(os.WriteFile(filepath.Join(h.files, "old.har"), []byte(c.file), 0o600))
			}
			job := c.job
			job.Requests, job.Rate = cmp.Or(job.Requests, "old.har"), cmp.Or(job.Rate, 1000)
			if len(job.Methods) == 0 {
				job.Methods = []string{"GET"}
			}
			h.change = func(s *process.Spec) {
				list := []process.Job{{Name: "yesterday", Replay: &job, Timeout: 20 * time.Second}}
				s.Verify = process.Verify{Before: list, Step: list, After: list}
			}
			h.up(one)
			for _, stage := range []kind.Stage{kind.BeforeSwitch, kind.AtStep, kind.AfterSwitch} {
				err := h.r.Verify(t.Context(), h.work(towpath.VerbVerifyBefore, one), stage)
				failure := new(kind.Failure)
				switch {
				case c.fail == "" && err != nil:
					t.Errorf("%s: %v", stage, err)
				case c.fail != "" && (!errors.As(err, &failure) || !strings.Contains(err.Error(), c.fail)):
					t.Errorf("%s: %v, want a failure that says %q", stage, err, c.fail)
				}
			}
		})
	}
}
