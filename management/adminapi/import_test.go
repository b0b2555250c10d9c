package adminapi_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/management/managementtest"
	"github.com/zerotouch-dps/dps/openapi/admin"
)

const (
	importPath = world + "/enrollments:import"
	ek         = "AAQAAQAL" // a TPM2B_PUBLIC of four bytes
)

// answered is an import's answer by kind.
type answered struct {
	rejected []admin.ImportRejection
	progress []admin.ImportProgress
	done     *admin.ImportProgress
	failed   *admin.ImportFailure
}

func parseEvents(t testing.TB, r io.Reader) (out answered) {
	t.Helper()
	for lines := bufio.NewScanner(r); lines.Scan(); {
		var e admin.ImportEvent
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatalf("%v: %s", err, lines.Text())
		}
		switch {
		case e.Rejected != nil:
			out.rejected = append(out.rejected, *e.Rejected)
		case e.Progress != nil:
			out.progress = append(out.progress, *e.Progress)
		case e.Done != nil:
			out.done = e.Done
		case e.Failed != nil:
			out.failed = e.Failed
		}
	}
	return out
}

// upload imports a body whole; the pairs are query parameters.
func upload(t testing.TB, w *managementtest.World, kind, body string, pairs ...string) answered {
	t.Helper()
	q := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		q.Add(pairs[i], pairs[i+1])
	}
	a := do(t, w, call{"POST", importPath + "?" + q.Encode(), body, map[string]string{"Content-Type": kind}})
	if a.status != http.StatusOK {
		t.Fatalf("answered %d %s", a.status, a.text)
	}
	out := parseEvents(t, strings.NewReader(a.text))
	if out.done == nil {
		t.Fatalf("not done: %s", a.text)
	}
	return out
}

const (
	ndjson = "application/x-ndjson"
	csv    = "text/csv"
)

func stored(t testing.TB, w *managementtest.World, id dps.RegistrationID) enrollment.Individual {
	t.Helper()
	e, err := w.Store.Enrollments().Individual(t.Context(), managementtest.Scope, id)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func counts(p *admin.ImportProgress) [4]int64 {
	return [4]int64{p.Created, p.Replaced, p.Unchanged, p.Rejected}
}

func TestImportOfEveryMechanism(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	cert := managementtest.Certificate(t, "sn-3", nil)
	file := `{"registrationId":"sn-1","attestation":{"type":"symmetricKey","symmetricKey":{"primaryKey":"` + managementtest.Key + `"}},"lot":"47"}
{"registrationId":"SN-2","deviceId":"Pump","attestation":{"type":"tpm","tpm":{"endorsementKey":"` + ek + `"}},"iotHubs":["hub1.example"],"etag":"x"}

{"registrationId":"sn-3","attestation":{"type":"x509","x509":{"clientCertificates":{"primary":{"certificate":` + quoted(t, cert) + `}}}},"provisioningStatus":"disabled"}
{"registrationId":"sn-4","attestation":{"type":"symmetricKey"},"initialTwin":{"tags":{"site":"x"}},"optionalDeviceInformation":{"a":1}}`
	got := upload(t, w, ndjson, file, "lot", "48")
	want := admin.ImportProgress{Row: 4, Offset: int64(len(file)), Created: 4}
	if diff := cmp.Diff(&want, got.done); diff != "" {
		t.Error(diff)
	}
	one, four := stored(t, w, "sn-1"), stored(t, w, "sn-4")
	if key, ok := one.Mechanism.(attestation.SymmetricKey); !ok || key.Primary.Reveal() != managementtest.Key || key.Secondary.IsZero() || one.Lot != "47" || four.Lot != "48" {
		t.Errorf("stored %+v", one)
	}
	if two := stored(t, w, "sn-2"); two.DeviceID != "Pump" || two.ID != "SN-2" || two.Reprovision == nil || two.Hubs[0] != managementtest.Hub1 {
		t.Errorf("stored %+v", two)
	}
	again := upload(t, w, ndjson, file, "lot", "48")
	if counts(again.done) != [4]int64{0, 0, 4, 0} {
		t.Errorf("repeated: %v", counts(again.done))
	}
	if diff := cmp.Diff(four, stored(t, w, "sn-4")); diff != "" {
		t.Errorf("a repetition changed a generated key or an etag:\n%s", diff)
	}
	if a := w.LastAudit(t); a.Action != "enrollment.import" || string(a.Detail) != `{"created":4,"replaced":0,"first":"sn-1","last":"sn-4"}` {
		t.Errorf("audit: %+v", a)
	}
}

func TestImportRejectsRowsAlone(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	good := func(id string) string { return `{"registrationId":"` + id + `","attestation":{"type":"symmetricKey"}}` }
	rows := []string{
		good("a"),
		`{"registrationId":"b"}`,
		`not json`,
		`{"attestation":{"type":"symmetricKey"}}`,
		good("bad id"),
		`{"registrationId":"c","attestation":{"type":"symmetricKey"},"iotHubs":["no.example"]}`,
		`{"registrationId":"d","attestation":{"type":5}}`,
		`{"registrationId":"e","attestation":{"type":"symmetricKey"},"lot":"nul\u0000"}`,
		"{\"registrationId\":\"f\xff\"}",
		`{"registrationId":"` + strings.Repeat("x", 100<<10) + `"}`,
		`{"registrationId":"g","attestation":{"type":"symmetricKey"},"deriveFrom":"no-group"}`,
		good("z"),
	}
	got := upload(t, w, ndjson, strings.Join(rows, "\n"))
	if counts(got.done) != [4]int64{2, 0, 0, 10} {
		t.Fatalf("counts %v, rejected %+v", counts(got.done), got.rejected)
	}
	offset := int64(0)
	want := []struct{ id, code, field string }{
		{"b", "invalidArgument", "attestation"},
		{"", "invalidArgument", "row"},
		{"", "invalidArgument", "registrationId"},
		{"bad id", "invalidArgument", "registrationId"},
		{"c", "hubNotLinked", "iotHubs[0]"},
		{"d", "invalidArgument", "attestation.type"},
		{"e", "invalidArgument", "lot"},
		{"", "invalidArgument", "row"},
		{"", "invalidArgument", "row"},
		{"g", "groupNotFound", ""},
	}
	for i, r := range got.rejected {
		offset += int64(len(rows[i])) + 1
		text := func(s *string) string {
			if s == nil {
				return ""
			}
			return *s
		}
		if text(r.RegistrationID) != want[i].id || r.Code != want[i].code || text(r.Field) != want[i].field || r.Row != int64(i+2) || r.Offset != offset {
			t.Errorf("row %d: %s %s %s at %d: %s; want %v at %d", r.Row, text(r.RegistrationID), r.Code, text(r.Field), r.Offset, r.Message, want[i], offset)
		}
	}
}

func TestImportModes(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	row := `{"registrationId":"a","attestation":{"type":"symmetricKey"},"deviceId":"%s"}`
	if got := upload(t, w, ndjson, fmt.Sprintf(row, "x"), "dryRun", "true"); counts(got.done) != [4]int64{1, 0, 0, 0} || !*got.done.DryRun {
		t.Errorf("dry run: %+v", got.done)
	}
	if _, err := w.Store.Enrollments().Individual(t.Context(), managementtest.Scope, "a"); !dps.Is(err, dps.EnrollmentNotFound) {
		t.Errorf("a dry run wrote: %v", err)
	}
	// The later row of an ID wins.
	if got := upload(t, w, ndjson, fmt.Sprintf(row, "x")+"\n"+fmt.Sprintf(row, "y")); counts(got.done) != [4]int64{1, 1, 0, 0} || stored(t, w, "a").DeviceID != "y" {
		t.Errorf("one ID twice: %+v", got.done)
	}
	if got := upload(t, w, ndjson, fmt.Sprintf(row, "y"), "createOnly", "true"); counts(got.done) != [4]int64{0, 0, 0, 1} || got.rejected[0].Code != "enrollmentExists" {
		t.Errorf("create only: %+v", got)
	}
	if got := upload(t, w, ndjson, fmt.Sprintf(row, "1")+"\n"+fmt.Sprintf(row, "2"), "skipRows", "1", "startRow", "10", "startOffset", "500"); counts(got.done) != [4]int64{0, 1, 0, 0} || got.done.Row != 12 || got.done.Offset <= 500 {
		t.Errorf("skip: %+v", got.done)
	}
	if got := upload(t, w, ndjson, ""); counts(got.done) != [4]int64{} {
		t.Errorf("nothing: %+v", got.done)
	}
}

func TestImportDerivesKeys(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	key := dps.NewSecret(managementtest.Key)
	other := dps.NewSecret(managementtest.Secondary)
	g := enrollment.Group{ID: "Line-3", Mechanism: attestation.GroupKey{Primary: key, Secondary: other}, Settings: enrollment.Settings{Enabled: true}}
	if _, err := w.Store.Enrollments().PutGroup(t.Context(), managementtest.Scope, g, enrollment.Precondition{}); err != nil {
		t.Fatal(err)
	}
	derived := func(from dps.Secret, id string) string {
		k, err := attestation.DeriveDeviceKey(from, id)
		if err != nil {
			t.Fatal(err)
		}
		return k.Reveal()
	}
	keys := func(id dps.RegistrationID) [2]string {
		k, _ := stored(t, w, id).Mechanism.(attestation.SymmetricKey)
		return [2]string{k.Primary.Reveal(), k.Secondary.Reveal()}
	}
	upload(t, w, ndjson, `{"registrationId":"SN-a","attestation":{"type":"symmetricKey"}}`, "deriveFrom", "line-3")
	if want := [2]string{derived(key, "SN-a"), derived(other, "SN-a")}; keys("sn-a") != want {
		t.Errorf("of a group: %v, want %v", keys("sn-a"), want)
	}
	upload(t, w, ndjson, `{"registrationId":"b","attestation":{"type":"symmetricKey"},"deriveFrom":"LINE-3"}`)
	if keys("b")[0] != derived(key, "b") {
		t.Errorf("of the row's group: %v", keys("b"))
	}
	body := `{"registrationId":"c","attestation":{"type":"symmetricKey"}}`
	master := call{"POST", importPath, body, map[string]string{"Content-Type": ndjson, "Dps-Master-Key": managementtest.Key}}
	first := do(t, w, master)
	before := keys("c")
	second := do(t, w, master)
	if first.status != 200 || before[0] != derived(key, "c") || before[1] == "" || keys("c") != before || !strings.Contains(second.text, `"unchanged":1`) {
		t.Errorf("of a master key: %v, then %v: %s", before, keys("c"), second.text)
	}
}

func TestImportOfCSV(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	cert := managementtest.Certificate(t, "sn-3", nil)
	file := "\xef\xbb\xbfSerial;EK;certificate;lot;iotHubs;tags.site.floor;tags.code;desired;Colour;updateHubAssignment;migrateDeviceData\r\n" +
		"sn-1;;;47;hub1.example HUB2.example;3;\"\"\"007\"\"\";\"{\"\"a\"\":1}\";red;true;false\r\n" +
		"sn-2;" + ek + ";;47;;;;;;;\r\n" +
		"sn-3;;\"" + cert + "\";47;;;;;;;\r\n" +
		"sn-4;;;47\r\n" +
		"sn-5;;;\"47;;;;;;;\r\n" +
		"sn-6;;;47;;;;;;;\r\n"
	got := upload(t, w, csv, file, "delimiter", ";", "columns", "SERIAL=registrationId", "columns", "EK=endorsementKey", "columns", "colour=-")
	if counts(got.done) != [4]int64{4, 0, 0, 2} || got.done.Offset != int64(len(file)) || got.done.Row != 6 {
		t.Fatalf("%+v, rejected %+v", got.done, got.rejected)
	}
	if *got.rejected[0].Field != "row" || got.rejected[0].Row != 4 || got.rejected[1].Row != 5 || !strings.Contains(got.rejected[1].Message, "quote") {
		t.Errorf("rejected %+v", got.rejected)
	}
	one := stored(t, w, "sn-1")
	want := enrollment.InitialTwin{Tags: json.RawMessage(`{"code":"007","site":{"floor":3}}`), Desired: json.RawMessage(`{"a":1}`)}
	if diff := cmp.Diff(&want, one.InitialTwin); diff != "" || len(one.Hubs) != 2 || one.Lot != "47" || *one.Reprovision != (enrollment.ReprovisionPolicy{UpdateHubAssignment: true}) {
		t.Errorf("stored %+v\n%s", one, diff)
	}
	if _, ok := stored(t, w, "sn-2").Mechanism.(attestation.TPM); !ok {
		t.Error("an endorsement key made no TPM enrollment")
	}
	if _, ok := stored(t, w, "sn-3").Mechanism.(attestation.X509Leaf); !ok {
		t.Error("a certificate made no X.509 enrollment")
	}
	rest := "sn-7;x\nsn-8;y\n"
	if got := upload(t, w, csv, rest, "header", "registrationId;lot", "delimiter", ";", "startRow", "9"); counts(got.done) != [4]int64{2, 0, 0, 0} || got.done.Row != 11 {
		t.Errorf("without a header: %+v", got.done)
	}
}

func TestImportRefusals(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	for _, tt := range []struct {
		name, path, kind, body string
		header                 map[string]string
		status                 int
		code, field            string
	}{
		{"content type", importPath, "application/xml", "", nil, 415, "unsupportedMediaType", ""},
		{"content encoding", importPath, ndjson, "", map[string]string{"Content-Encoding": "br"}, 415, "unsupportedMediaType", ""},
		{"not gzip", importPath, ndjson, "{}", map[string]string{"Content-Encoding": "gzip"}, 400, "badRequest", ""},
		{"unknown scope", scopes + "/0neNO/enrollments:import", ndjson, "", nil, 404, "notFound", ""},
		{"unknown group", importPath + "?deriveFrom=no", ndjson, "", nil, 404, "groupNotFound", ""},
		{"flag", importPath + "?dryRun=perhaps", ndjson, "", nil, 400, "badRequest", "dryRun"},
		{"negative", importPath + "?startRow=-1", ndjson, "", nil, 400, "badRequest", "startRow"},
		{"master key", importPath, ndjson, "", map[string]string{"Dps-Master-Key": "short"}, 400, "invalidArgument", "Dps-Master-Key"},
		{"empty CSV", importPath, csv, "", nil, 400, "invalidArgument", "header"},
		{"no ID column", importPath, csv, "lot\n1\n", nil, 400, "invalidArgument", "header"},
		{"unknown column", importPath, csv, "registrationId,Colour\n1,2\n", nil, 400, "invalidArgument", "header"},
		{"column twice", importPath, csv, "registrationId,lot,LOT\n1,2,3\n", nil, 400, "invalidArgument", "header"},
		{"delimiter", importPath + "?delimiter=%22", csv, "registrationId\n1\n", nil, 400, "invalidArgument", "delimiter"},
		{"mapping", importPath + "?columns=x", csv, "registrationId\n1\n", nil, 400, "invalidArgument", "columns"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			header := map[string]string{"Content-Type": tt.kind}
			maps.Copy(header, tt.header)
			a := do(t, w, call{"POST", tt.path, tt.body, header})
			body := a.object(t)
			info, _ := body["info"].(map[string]any)
			if field, _ := info["field"].(string); a.status != tt.status || body["code"] != tt.code || field != tt.field {
				t.Errorf("%d %s", a.status, a.text)
			}
		})
	}
}

// The answer comes while the upload goes on, compressed or not.
func TestImportAnswersWhileItReads(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	s := httptest.NewTLSServer(w.Admin)
	t.Cleanup(s.Close)
	r, body := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), "POST", s.URL+importPath, r)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+w.AdminToken)
	req.Header.Set("Content-Encoding", "gzip")
	zip := gzip.NewWriter(body)
	send := func(from, to int) {
		var rows bytes.Buffer
		for i := from; i < to; i++ {
			fmt.Fprintf(&rows, `{"registrationId":"sn-%d","attestation":{"type":"symmetricKey"}}`+"\n", i)
		}
		_, _ = rows.WriteTo(zip)
		_ = zip.Flush()
	}
	go send(0, 2500)
	resp, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	if !lines.Scan() || !strings.Contains(lines.Text(), `"progress":{"created":1000`) {
		t.Fatalf("first line %q", lines.Text())
	}
	if found := stored(t, w, "sn-999"); found.ID != "sn-999" {
		t.Error("what was acknowledged is not there")
	}
	go func() {
		send(2500, 3000)
		_ = zip.Close()
		_ = body.Close()
	}()
	last := ""
	for lines.Scan() {
		last = lines.Text()
	}
	if !strings.Contains(last, `"done":{"created":3000,`) {
		t.Errorf("last line %q", last)
	}
}

// An upload that breaks off leaves what was read whole, and not the row cut in two.
func TestImportCutOff(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	whole := `{"registrationId":"sn-1","attestation":{"type":"symmetricKey"}}` + "\n"
	body := io.MultiReader(strings.NewReader(whole+`{"registrationId":"sn-2","attestation":{"type":"symmetricKey"}}`), broken{})
	r := httptest.NewRequestWithContext(t.Context(), "POST", "https://x"+importPath, body)
	r.Header.Set("Authorization", "Bearer "+w.AdminToken)
	rec := httptest.NewRecorder()
	w.Admin.ServeHTTP(rec, r)
	got := parseEvents(t, rec.Body)
	if got.done != nil || got.failed == nil || got.failed.Code != "badRequest" || len(got.progress) != 1 || got.progress[0].Offset != int64(len(whole)) {
		t.Errorf("%+v", got)
	}
	stored(t, w, "sn-1")
	if _, err := w.Store.Enrollments().Individual(t.Context(), managementtest.Scope, "sn-2"); !dps.Is(err, dps.EnrollmentNotFound) {
		t.Errorf("the row that was cut: %v", err)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// What is exported, in either format, makes the same entries in another deployment.
func TestExportIsTheInverse(t *testing.T) {
	t.Parallel()
	from := managementtest.Start(t)
	leaf, ca := managementtest.Certificate(t, "sn-3", nil), managementtest.Certificate(t, "CA", managementtest.CA)
	upload(t, from, ndjson, `{"registrationId":"sn-1","attestation":{"type":"symmetricKey"},"lot":"47","uploader":"line-3","deviceId":"P","capabilities":{"iotEdge":true}}
{"registrationId":"sn-2","attestation":{"type":"tpm","tpm":{"endorsementKey":"`+ek+`"}},"allocationPolicy":"static","iotHubs":["hub1.example"],"reprovisionPolicy":{}}
{"registrationId":"sn-3","attestation":{"type":"x509","x509":{"clientCertificates":{"primary":{"certificate":`+quoted(t, leaf)+`}}}},"provisioningStatus":"disabled"}
{"registrationId":"sn-4","attestation":{"type":"x509","x509":{"signingCertificates":{"secondary":{"certificate":`+quoted(t, ca)+`}}}},"optionalDeviceInformation":{"q":"a \"b\", c"}}
{"registrationId":"sn-5","attestation":{"type":"symmetricKey"},"allocationPolicy":"custom","customAllocationDefinition":{"webhookUrl":"https://x.example/a","apiVersion":"2021-10-01"},"initialTwin":{"tags":{"t":"1"},"properties":{"desired":{"i":[1,2]}}},"reprovisionPolicy":{"updateHubAssignment":false,"migrateDeviceData":true},"iotHubHostName":"hub2.example","credentialPolicyName":"cp"}`)
	for _, format := range []string{"ndjson", "csv"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			file := do(t, from, call{"POST", world + "/enrollments:exportWithKeys?format=" + format, "", nil})
			if file.status != 200 {
				t.Fatalf("%d %s", file.status, file.text)
			}
			to := managementtest.Start(t)
			if got := upload(t, to, file.header.Get("Content-Type"), file.text); counts(got.done) != [4]int64{5, 0, 0, 0} {
				t.Fatalf("%+v %+v", got.done, got.rejected)
			}
			for _, id := range []dps.RegistrationID{"sn-1", "sn-2", "sn-3", "sn-4", "sn-5"} {
				a, b := stored(t, from, id), stored(t, to, id)
				b.ETag = a.ETag
				if diff := cmp.Diff(a, b); diff != "" {
					t.Error(diff)
				}
			}
			if got := upload(t, from, file.header.Get("Content-Type"), file.text); counts(got.done) != [4]int64{0, 0, 5, 0} {
				t.Errorf("where it came from: %+v %+v", got.done, got.rejected)
			}
		})
	}
	masked := do(t, from, call{"GET", world + "/enrollments:export?lot=47", "", nil})
	if strings.Contains(masked.text, "primaryKey") || strings.Count(masked.text, "\n") != 1 || !strings.Contains(masked.text, "sn-1") {
		t.Errorf("masked: %s", masked.text)
	}
	if after := do(t, from, call{"GET", world + "/enrollments:export?after=SN-3", "", nil}); strings.Count(after.text, "\n") != 2 {
		t.Errorf("after: %s", after.text)
	}
	if none := do(t, from, call{"GET", scopes + "/0neNO/enrollments:export", "", nil}); none.status != 404 {
		t.Errorf("unknown scope: %d %s", none.status, none.text)
	}
}
