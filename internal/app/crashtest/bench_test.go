package crashtest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/towpathtest/pgtest"
)

// BenchmarkServer_Resumes kills the server in the middle of a promotion and
// measures until the step that it was in has been made.
func BenchmarkServer_Resumes(b *testing.B) {
	for _, engine := range []struct {
		name  string
		new   func() string
		spare bool
	}{
		{"restarted, on SQLite", func() string { return "" }, false},
		{"restarted, on PostgreSQL", func() string { return pgtest.New(b) }, false},
		{"taken over, on PostgreSQL", func() string { return pgtest.New(b) }, true},
	} {
		b.Run(engine.name, func(b *testing.B) {
			var longest, sum time.Duration
			killed := 0
			for i := range b.N {
				reached, took := story(b, engine.new(), fmt.Sprintf("store.after-commit:%d", 20+7*i), engine.spare)
				if reached {
					killed++
				}
				longest, sum = max(longest, took), sum+took
			}
			if killed == 0 {
				b.Fatal("no server was killed")
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(sum.Seconds()/float64(killed), "s-mean")
			b.ReportMetric(longest.Seconds(), "s-longest")
		})
	}
}
