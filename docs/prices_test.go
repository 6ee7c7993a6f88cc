package docs

import (
	"encoding/json"
	"os"
	"regexp"
	"testing"

	"github.com/towpath/towpath/internal/towpath"
)

// TestPrices: what the guide shows as a file of prices can be read as one, and
// gives a cost at any interval, because its queries answer counters.
func TestPrices(t *testing.T) {
	guide, err := os.ReadFile("guides/experiments.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := regexp.MustCompile("(?s)```json\n(.*?)```").FindSubmatch(guide)
	if shown == nil {
		t.Fatal("the guide shows no file of prices")
	}
	var prices towpath.Prices
	if err := json.Unmarshal(shown[1], &prices); err != nil || len(prices.Items) == 0 {
		t.Fatalf("%v: %s", err, shown[1])
	}
	for _, p := range prices.Items {
		o := towpath.Objective{Kind: towpath.ObjectiveMeasure, Query: p.Query}
		if !towpath.Counters(p.Query) || !o.Compares() {
			t.Errorf("%s: %s needs several scrapes in an interval, or can't tell releases apart", p.Name, p.Query)
		}
	}
}
