package gate

import (
	"testing"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

func TestWindows(t *testing.T) {
	vienna, err := time.LoadLocation("Europe/Vienna")
	if err != nil {
		t.Fatal(err)
	}
	at := func(y int, m time.Month, d, h, mi int) time.Time { return time.Date(y, m, d, h, mi, 0, 0, vienna) }
	when := func(now time.Time, w ...towpath.Window) func(*Input) {
		return func(in *Input) { in.Now, in.Environment.Rules.Gates.Windows = now, w }
	}
	frozen := func(f towpath.Freeze) func(*Input) { return func(in *Input) { in.Freezes = []towpath.Freeze{f} } }
	zone := "Europe/Vienna"
	office := passing().Environment.Rules.Gates.Windows[0]
	night := towpath.Window{Kind: towpath.WindowAllow, Days: []string{"fri"}, Start: "22:00", End: "02:00", Timezone: zone}
	holidays := towpath.Window{Kind: towpath.WindowDeny, From: "2026-12-20", To: "2027-01-03", Timezone: zone, Reason: "holidays"}

	run(t, towpath.GateWindows, []test{
		{name: "is open inside an allow window", outcome: towpath.Allow, says: "windows of prod are open"},
		{name: "is open without windows", outcome: towpath.Allow, says: "has no windows", change: when(noon)},
		{name: "is open at the first minute", outcome: towpath.Allow, change: when(at(2026, 11, 18, 9, 0), office)},
		{name: "is closed before it", outcome: towpath.Wait, says: "allowed on mon, tue, wed, thu, from 09:00 to 16:00 (Europe/Vienna)", until: at(2026, 11, 18, 9, 0), change: when(at(2026, 11, 18, 8, 59), office)},
		{name: "is closed at the last minute", outcome: towpath.Wait, says: "allowed", until: at(2026, 11, 19, 9, 0), change: when(at(2026, 11, 18, 16, 0), office)},
		{name: "opens on the next of its days", outcome: towpath.Wait, says: "allowed", until: at(2026, 11, 23, 9, 0), change: when(at(2026, 11, 19, 16, 0), office)},
		{name: "is open past midnight", outcome: towpath.Allow, change: when(at(2026, 11, 21, 1, 59), night)},
		{name: "belongs to the day on which it begins", outcome: towpath.Wait, says: "allowed", until: at(2026, 11, 20, 22, 0), change: when(at(2026, 11, 20, 1, 0), night)},
		{name: "ends on the next day", outcome: towpath.Wait, says: "allowed", until: at(2026, 11, 27, 22, 0), change: when(at(2026, 11, 21, 2, 0), night)},
		{name: "is closed between dates", outcome: towpath.Wait, says: "denied from 2026-12-20 to 2027-01-03 (Europe/Vienna): “holidays”", until: at(2027, 1, 4, 0, 0), change: when(at(2026, 12, 24, 12, 0), holidays)},
		{name: "is open on the day before", outcome: towpath.Allow, change: when(at(2026, 12, 19, 23, 59), holidays)},
		{name: "is closed on the first day", outcome: towpath.Wait, says: "denied", until: at(2027, 1, 4, 0, 0), change: when(at(2026, 12, 20, 0, 0), holidays)},
		{name: "is closed on the last day", outcome: towpath.Wait, says: "denied", until: at(2027, 1, 4, 0, 0), change: when(at(2027, 1, 3, 23, 59), holidays)},
		{name: "lets deny win over allow", outcome: towpath.Wait, says: "denied", until: at(2027, 1, 4, 9, 0), change: when(at(2026, 12, 21, 10, 0), office, holidays)},
		{name: "does not know an opening that is too far away", outcome: towpath.Wait, says: "No opening is known", hints: "eight weeks",
			change: when(noon, towpath.Window{Kind: towpath.WindowAllow, From: "2027-06-01"})},
		{name: "waits on a zone that it does not know", outcome: towpath.Wait, says: "can't be judged", change: when(noon, towpath.Window{Kind: towpath.WindowAllow, Timezone: "Mars/Olympus"})},
		{name: "waits on a window of no length", outcome: towpath.Wait, says: "can't be judged", change: when(noon, towpath.Window{Kind: towpath.WindowDeny, Start: "09:00", End: "09:00"})},
		{name: "waits on a day that it does not know", outcome: towpath.Wait, says: "can't be judged", change: when(noon, towpath.Window{Kind: towpath.WindowDeny, Days: []string{"noday"}})},
		{name: "waits on a kind that it does not know", outcome: towpath.Wait, says: "can't be judged", change: when(noon, towpath.Window{})},

		// On 29 March 2026 the clocks in Vienna go from 02:00 to 03:00.
		{name: "does not open in an hour that is skipped", outcome: towpath.Wait, says: "allowed", until: at(2026, 3, 30, 2, 0),
			change: when(at(2026, 3, 29, 3, 0), towpath.Window{Kind: towpath.WindowAllow, Start: "02:00", End: "03:00", Timezone: zone})},
		{name: "opens after the skipped hour when it begins in it", outcome: towpath.Wait, says: "allowed", until: time.Date(2026, 3, 29, 1, 0, 0, 0, time.UTC),
			change: when(at(2026, 3, 29, 1, 30), towpath.Window{Kind: towpath.WindowAllow, Start: "02:30", End: "04:00", Timezone: zone})},
		// On 25 October 2026 they go back from 03:00 to 02:00.
		{name: "opens a second time in an hour that is repeated", outcome: towpath.Wait, says: "allowed", until: time.Date(2026, 10, 25, 1, 0, 0, 0, time.UTC),
			change: when(time.Date(2026, 10, 25, 0, 45, 0, 0, time.UTC), towpath.Window{Kind: towpath.WindowAllow, Start: "02:00", End: "02:30", Timezone: zone})},
		{name: "opens at the first half past of a repeated hour", outcome: towpath.Wait, says: "allowed", until: time.Date(2026, 10, 25, 0, 30, 0, 0, time.UTC),
			change: when(time.Date(2026, 10, 25, 0, 15, 0, 0, time.UTC), towpath.Window{Kind: towpath.WindowAllow, Start: "02:30", End: "03:00", Timezone: zone})},
		{name: "opens at the second half past of a repeated hour", outcome: towpath.Wait, says: "allowed", until: time.Date(2026, 10, 25, 1, 30, 0, 0, time.UTC),
			change: when(time.Date(2026, 10, 25, 1, 0, 0, 0, time.UTC), towpath.Window{Kind: towpath.WindowAllow, Start: "02:30", End: "03:00", Timezone: zone})},

		{name: "is closed by a freeze of the project", outcome: towpath.Wait, says: "Promotions are frozen in all of shop until 2026-11-18T13:00:00Z, by olga: “audit”.", until: noon.Add(time.Hour),
			change: frozen(towpath.Freeze{Project: "shop", Reason: "audit", By: "olga", From: noon, Until: noon.Add(time.Hour)})},
		{name: "is closed by a freeze until it is lifted", outcome: towpath.Wait, says: "frozen everywhere until it is lifted", hints: "lift",
			change: frozen(towpath.Freeze{Reason: "audit", By: "olga", From: noon})},
		{name: "is closed by an emergency stop", outcome: towpath.Wait, says: "Emergency stop", change: frozen(towpath.Freeze{Emergency: true, Reason: "breach", By: "olga"})},
		{name: "is open before a freeze begins", outcome: towpath.Allow, change: frozen(towpath.Freeze{From: noon.Add(1)})},
		{name: "is open when a freeze ends", outcome: towpath.Allow, change: frozen(towpath.Freeze{From: noon.Add(-2), Until: noon})},
		{name: "ignores a freeze of another project", outcome: towpath.Allow, change: frozen(towpath.Freeze{Project: "billing"})},
		{name: "ignores a freeze of another environment", outcome: towpath.Allow, change: frozen(towpath.Freeze{Environment: "staging"})},
		{name: "opens after a freeze that is to come", outcome: towpath.Wait, says: "allowed", until: at(2026, 11, 19, 11, 0), change: func(in *Input) {
			when(at(2026, 11, 18, 20, 0), office)(in)
			frozen(towpath.Freeze{From: at(2026, 11, 19, 0, 0), Until: at(2026, 11, 19, 11, 0)})(in)
		}},
	})
}
