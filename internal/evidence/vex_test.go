package evidence

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towpath/towpath/internal/towpath"
)

// vexDocument is what an author who is no tool says, in each way to name a component.
const vexDocument = `{"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "metadata": {"timestamp": "2026-11-20T11:00:00Z", "tools": []},
  "components": [{"bom-ref": "app", "name": "app", "components": [{"bom-ref": "pad", "name": "left-pad", "version": "1.3.0", "purl": "pkg:npm/left-pad@1.3.0"}, {"bom-ref": "own", "name": "own", "version": "2"}]}],
  "vulnerabilities": [
    {"id": "CVE-1", "analysis": {"state": "not_affected", "justification": "code_not_reachable", "detail": "only used in tests"},
     "affects": [{"ref": "pad"}, {"ref": "pkg:npm/lodash@4.0.0?arch=x&package-id=0123456789"}, {"ref": "urn:cdx:3e671687-395b-41f5-a30f-a58921a69b79/1#pkg:npm/x@1"}, {"ref": "own"}]},
    {"id": "CVE-2", "analysis": {"state": "exploitable", "justification": "<b>"}, "affects": [{"ref": "nowhere", "versions": [{"version": "1"}]}]},
    {"id": "CVE-3", "analysis": {"state": "in_triage"}}]}`

func TestReadReport_VEX(t *testing.T) {
	got, err := ReadReport([]byte(vexDocument))
	if err != nil {
		t.Fatal(err)
	}
	not := func(purl, ref, in string) towpath.VEXStatement {
		return towpath.VEXStatement{ID: "CVE-1", State: towpath.VEXNotAffected, Justification: "code_not_reachable", PURL: purl, Ref: ref, In: in}
	}
	want := Scan{
		Format: "cyclonedx", Report: towpath.DigestOf([]byte(vexDocument)), Made: time.Date(2026, 11, 20, 11, 0, 0, 0, time.UTC),
		Statements: []towpath.VEXStatement{
			not("pkg:npm/left-pad@1.3.0", "", "left-pad 1.3.0"), not("pkg:npm/lodash@4.0.0?arch=x", "", "pkg:npm/lodash@4.0.0?arch=x&package-id=0123456789"),
			not("pkg:npm/x@1", "", "urn:cdx:3e671687-395b-41f5-a30f-a58921a69b79/1#pkg:npm/x@1"), not("", "own", "own 2"),
			{ID: "CVE-2", State: towpath.VEXExploitable}, {ID: "CVE-3", State: towpath.VEXInTriage},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	b, err := MakeScan(towpath.DigestOf(nil), got)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	x := towpath.Attestation{Type: towpath.EvidenceScan}
	if err := ReadInto(&x, s.Predicate); err != nil || x.Scan != nil {
		t.Fatalf("read back it is a scan: %+v, %v", x.Scan, err)
	}
	if diff := cmp.Diff(&towpath.VEXFacts{Made: want.Made, Statements: want.Statements}, x.VEX); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
	if _, err := ReadScan(s.Predicate); err == nil {
		t.Error("who knows no VEX takes it for a scan that found nothing")
	}
}

// TestReadReport_VEXNames: a report of grype and a VEX document name a component by
// one name, whatever number grype gave it.
func TestReadReport_VEXNames(t *testing.T) {
	report, err := ReadReport([]byte(`{"bomFormat": "CycloneDX", "metadata": {"tools": {"components": [{"name": "grype"}]}},
		"components": [{"bom-ref": "pkg:npm/left-pad@1.3.0?package-id=aa11", "name": "left-pad", "version": "1.3.0", "purl": "pkg:npm/left-pad@1.3.0"},
			{"bom-ref": "pkg:npm/left-pad@1.3.0?package-id=bb22", "name": "left-pad", "version": "1.3.0", "purl": "pkg:npm/left-pad@1.3.0"},
			{"bom-ref": "pkg:pypi/left-pad@1.3.0?package-id=cc33", "name": "left-pad", "version": "1.3.0", "purl": "pkg:pypi/left-pad@1.3.0"},
			{"bom-ref": "twice", "name": "a", "version": "1", "purl": "pkg:npm/a@1"}, {"bom-ref": "twice", "name": "a", "version": "2", "purl": "pkg:npm/a@2"}],
		"vulnerabilities": [{"id": "CVE-1", "ratings": [{"severity": "high"}], "affects": [
			{"ref": "pkg:npm/left-pad@1.3.0?package-id=aa11"}, {"ref": "pkg:npm/left-pad@1.3.0?package-id=bb22"}, {"ref": "pkg:pypi/left-pad@1.3.0?package-id=cc33"}, {"ref": "twice"}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	vex, err := ReadReport([]byte(`{"bomFormat": "CycloneDX", "vulnerabilities": [{"id": "CVE-1", "analysis": {"state": "not_affected"}, "affects": [{"ref": "pkg:npm/left-pad@1.3.0"}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	var about []string
	for _, f := range report.Findings {
		if vex.Statements[0].About(f) {
			about = append(about, f.PURL)
		}
	}
	if len(report.Findings) != 3 || len(about) != 1 || about[0] != "pkg:npm/left-pad@1.3.0" {
		t.Errorf("of %+v it is about %q", report.Findings, about)
	}
}

func TestReadReport_RefusesVEX(t *testing.T) {
	doc := func(tools, vulnerabilities string) string {
		return `{"bomFormat": "CycloneDX", "metadata": {` + tools + `}, "components": [{"bom-ref": "twice", "name": "a"}, {"bom-ref": "twice", "name": "b"}, {"bom-ref": "a", "purl": "pkg:npm/a@1"}], "vulnerabilities": [` + vulnerabilities + `]}`
	}
	not := func(affects string) string {
		return `{"id": "CVE-1", "analysis": {"state": "not_affected"}, "affects": [` + affects + `]}`
	}
	for _, tt := range []struct{ name, doc, says string }{
		{"one that says nothing", doc("", ""), "which tool made it"},
		{"one that does not say of each in which state it is", doc("", not(`{"ref": "a"}`)+`, {"id": "CVE-2"}`), "which tool made it"},
		{"one of a tool without a name", doc(`"tools": [{"vendor": "x"}]`, not(`{"ref": "a"}`)), "which tool made it"},
		{"one of a service", doc(`"tools": {"services": [{"name": "x"}]}`, not(`{"ref": "a"}`)), "which tool made it"},
		{"no component", doc("", not("")), "does not say in which component"},
		{"a component that nobody knows", doc("", not(`{"ref": "nowhere"}`)), `in "nowhere", and nobody can tell which component`},
		{"a component of another document, by a name of its own", doc("", not(`{"ref": "urn:cdx:3e671687-395b-41f5-a30f-a58921a69b79/1#a"}`)), "nobody can tell which component"},
		{"two components of one name", doc("", not(`{"ref": "twice"}`)), "nobody can tell which component"},
		{"some versions", doc("", not(`{"ref": "a", "versions": [{"version": "1"}]}`)), "in some versions of"},
		{"another state", doc("", `{"id": "CVE-1", "analysis": {"state": "harmless"}, "affects": [{"ref": "a"}]}`), "which is no state of CycloneDX"},
		{"no ID", doc("", `{"analysis": {"state": "not_affected"}, "affects": [{"ref": "a"}]}`), "does not say which vulnerability"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ReadReport([]byte(tt.doc))
			var e *towpath.Error
			if !errors.As(err, &e) || e.Kind != towpath.KindInvalid || !strings.Contains(e.Message, tt.says) || e.Hint == "" {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("more than is read", func(t *testing.T) {
		if _, err := ReadReport([]byte(doc("", not(strings.Repeat(`{"ref": "a"},`, maxStatements)+`{"ref": "a"}`)))); towpath.KindOf(err) != towpath.KindExhausted {
			t.Errorf("got %v", err)
		}
	})
}

func TestReadVEX(t *testing.T) {
	const good = `{"id": "CVE-1", "state": "not_affected", "purl": "pkg:npm/a@1", "justification": "a\nb"}`
	for name, predicate := range map[string]string{
		"nothing that is said": `{"statements": []}`, "another shape": `{"statements": [7]}`, "another state": `{"statements": [{"id": "CVE-1", "state": "fine", "purl": "pkg:npm/a@1"}]}`,
		"no ID": `{"statements": [{"state": "exploitable"}]}`, "no component": `{"statements": [` + good + `, {"id": "CVE-1", "state": "resolved"}]}`,
		"half a name": `{"statements": [{"id": "CVE-1", "state": "resolved", "ref": "a"}]}`, "too much": `{"statements": [` + strings.Repeat(good+",", maxStatements) + good + `]}`,
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			if !isVEX([]byte(predicate)) {
				t.Error("it is taken for a scan")
			}
			if _, err := ReadVEX([]byte(predicate)); towpath.KindOf(err) != towpath.KindInvalid {
				t.Errorf("got %v", err)
			}
		})
	}
	got, err := ReadVEX([]byte(`{"statements": [` + good + `]}`))
	if err != nil || got.Statements[0].Justification != "" {
		t.Errorf("got %+v, %v", got, err)
	}
	if isVEX([]byte(`{"tool": "x", "statements": []}`)) {
		t.Error("what a tool says is taken for VEX")
	}
}

// TestReadScan_KeepsLittle: of what a statement says only so much is kept, and what
// differs goes on doing so, and is the same for who finds it and for who closes it.
func TestReadScan_KeepsLittle(t *testing.T) {
	long := strings.Repeat("x", 1<<10)
	scan := Scan{Tool: long}
	var closes []towpath.VEXStatement
	for _, end := range []string{"a", "b"} {
		f := towpath.ScanFinding{ID: long + end, Severity: "high", In: long + end, PURL: "pkg:" + long + end, Ref: long + end}
		for range 1000 {
			scan.Findings = append(scan.Findings, f)
		}
		closes = append(closes, towpath.VEXStatement{ID: f.ID, State: towpath.VEXNotAffected, In: f.In, PURL: f.PURL, Ref: f.Ref})
	}
	read := func(predicate any) (x towpath.Attestation) {
		b, err := json.Marshal(predicate)
		if err != nil {
			t.Fatal(err)
		}
		x.Type = towpath.EvidenceScan
		if err := ReadInto(&x, b); err != nil {
			t.Fatal(err)
		}
		return x
	}
	found, said := read(scan).Scan, read(vex{Statements: closes}).VEX
	if len(found.Findings) != 2 || found.Total != 2 || cap(found.Findings) > 4 || len(found.Tool) > 100 {
		t.Fatalf("%d of %d are kept, with room for %d", len(found.Findings), found.Total, cap(found.Findings))
	}
	for i, f := range found.Findings {
		s := said.Statements[i]
		for _, text := range []string{f.ID, f.In, f.PURL, f.Ref, s.ID, s.In, s.PURL, s.Ref} {
			if len(text) > 100 {
				t.Errorf("%d bytes are kept", len(text))
			}
		}
		if other := said.Statements[1-i]; !s.About(f) || other.About(f) || other.ID == s.ID || other.PURL == s.PURL || other.Ref == s.Ref || other.In == s.In {
			t.Errorf("%+v is about %+v: %t, and %+v: %t", s, f, s.About(f), other, other.About(f))
		}
	}
}

// TestReadScan_SaysWhatIsElsewhere: what was found in more places than are kept can't
// be closed in one of them.
func TestReadScan_SaysWhatIsElsewhere(t *testing.T) {
	all := []towpath.ScanFinding{{ID: "CVE-1", Severity: "high", In: "x", Elsewhere: true}}
	for i := range 1000 {
		all = append(all, towpath.ScanFinding{ID: "CVE-0", Severity: "critical", In: fmt.Sprint(i)})
	}
	b, err := json.Marshal(Scan{Tool: "x", Findings: all})
	if err != nil {
		t.Fatal(err)
	}
	facts, err := ReadScan(b)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range facts.Findings {
		if f.Elsewhere != (f.ID == "CVE-0") {
			t.Fatalf("got %+v", f)
		}
	}
	if few, err := ReadScan([]byte(`{"tool": "x", "findings": [{"id": "CVE-1", "severity": "high", "elsewhere": true}]}`)); err != nil || few.Findings[0].Elsewhere {
		t.Errorf("a statement says what was kept of it: %+v, %v", few, err)
	}
}
