package testtpm

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
	"github.com/google/go-tpm/tpm2/transport/linuxudstpm"
)

// startTimeout is how long swtpm may need until it listens.
const startTimeout = 2 * time.Minute

// Start runs a new swtpm until the test ends and returns its socket.
func Start(t *testing.T) string {
	t.Helper()
	return start(t, "")
}

// start runs a swtpm with a state; empty: a new one.
func start(t *testing.T, state string) string {
	t.Helper()
	program, err := exec.LookPath("swtpm")
	if err != nil {
		t.Fatal("swtpm is needed; scripts/deps.sh installs it")
	}
	dir, err := os.MkdirTemp("", "tpm") // the names of sockets must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if state == "" {
		state = dir
	}
	socket := filepath.Join(dir, "s")
	var said bytes.Buffer
	cmd := exec.CommandContext(t.Context(), program, "socket", "--tpm2", "--tpmstate", "dir="+state, //nolint:gosec // found on the path
		"--server", "type=unixio,path="+socket, "--ctrl", "type=unixio,path="+socket+".ctrl", "--flags", "not-need-init,startup-clear")
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() }) // the context has ended by now
	awaitSocket(t, socket)
	if t.Failed() {
		t.Fatalf("swtpm does not listen: %s", said.String())
	}
	return socket
}

func awaitSocket(t *testing.T, socket string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
		if err == nil {
			_ = conn.Close()
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Error(err)
			return
		}
	}
}

// TPM is a device's, as its software uses it.
type TPM struct {
	EndorsementKey, StorageRootKey []byte // TPM2B_PUBLIC
	conn                           transport.TPMCloser
	ek, srk                        tpm2.NamedHandle
}

// Open starts a TPM and makes its keys.
func Open(t *testing.T, kind Kind) *TPM {
	t.Helper()
	conn, err := linuxudstpm.Open(Start(t))
	if err != nil {
		t.Fatal(err)
	}
	return open(t, conn, kind)
}

func open(t *testing.T, conn transport.TPMCloser, kind Kind) *TPM {
	t.Helper()
	d := &TPM{conn: conn}
	var err error
	if d.EndorsementKey, d.ek, err = d.primary(tpm2.TPMRHEndorsement, template(kind, true)); err == nil {
		d.StorageRootKey, d.srk, err = d.primary(tpm2.TPMRHOwner, template(kind, false))
	}
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *TPM) primary(hierarchy tpm2.TPMHandle, public tpm2.TPMTPublic) ([]byte, tpm2.NamedHandle, error) {
	rsp, err := tpm2.CreatePrimary{PrimaryHandle: hierarchy, InPublic: tpm2.New2B(public)}.Execute(d.conn)
	if err != nil {
		return nil, tpm2.NamedHandle{}, fmt.Errorf("create primary key: %w", err)
	}
	return tpm2.Marshal(rsp.OutPublic), tpm2.NamedHandle{Handle: rsp.ObjectHandle, Name: rsp.Name}, nil
}

// Sign takes the key of a blob in and returns the HMAC of a text with it.
func (d *TPM) Sign(blob, text []byte) ([]byte, error) {
	fields, err := Fields(blob)
	if err != nil {
		return nil, err
	}
	inner, err := d.activate(fields[0], fields[1])
	if err != nil {
		return nil, fmt.Errorf("activate credential: %w", err)
	}
	public := tpm2.BytesAs2B[tpm2.TPMTPublic](fields[4])
	imported, err := tpm2.Import{
		ParentHandle: d.parent(), EncryptionKey: tpm2.TPM2BData{Buffer: inner}, ObjectPublic: public,
		Duplicate: tpm2.TPM2BPrivate{Buffer: fields[2]}, InSymSeed: tpm2.TPM2BEncryptedSecret{Buffer: fields[3]},
		Symmetric: tpm2.TPMTSymDef{
			Algorithm: tpm2.TPMAlgAES, KeyBits: tpm2.NewTPMUSymKeyBits(tpm2.TPMAlgAES, tpm2.TPMKeyBits(len(inner)*8)), //nolint:gosec // a key of 16 bytes
			Mode: tpm2.NewTPMUSymMode(tpm2.TPMAlgAES, tpm2.TPMAlgCFB),
		},
	}.Execute(d.conn)
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	loaded, err := tpm2.Load{ParentHandle: d.parent(), InPrivate: imported.OutPrivate, InPublic: public}.Execute(d.conn)
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	defer func() { _, _ = tpm2.FlushContext{FlushHandle: loaded.ObjectHandle}.Execute(d.conn) }()
	signed, err := tpm2.Hmac{
		Handle: tpm2.AuthHandle{Handle: loaded.ObjectHandle, Name: loaded.Name, Auth: tpm2.PasswordAuth(nil)},
		Buffer: tpm2.TPM2BMaxBuffer{Buffer: text}, HashAlg: tpm2.TPMAlgSHA256,
	}.Execute(d.conn)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	if len(signed.OutHMAC.Buffer) != sha256.Size {
		return nil, errors.New("signature has another size")
	}
	return signed.OutHMAC.Buffer, nil
}

func (d *TPM) parent() tpm2.AuthHandle {
	return tpm2.AuthHandle{Handle: d.srk.Handle, Name: d.srk.Name, Auth: tpm2.PasswordAuth(nil)}
}

func (d *TPM) activate(object, secret []byte) ([]byte, error) {
	rsp, err := tpm2.ActivateCredential{
		ActivateHandle: d.parent(),
		KeyHandle:      tpm2.AuthHandle{Handle: d.ek.Handle, Name: d.ek.Name, Auth: tpm2.Policy(tpm2.TPMAlgSHA256, 16, ownersConsent)},
		CredentialBlob: tpm2.TPM2BIDObject{Buffer: object}, Secret: tpm2.TPM2BEncryptedSecret{Buffer: secret},
	}.Execute(d.conn)
	if err != nil {
		return nil, err
	}
	return rsp.CertInfo.Buffer, nil
}

// ownersConsent is the policy of endorsement keys.
func ownersConsent(conn transport.TPM, session tpm2.TPMISHPolicy, nonce tpm2.TPM2BNonce) error {
	_, err := tpm2.PolicySecret{
		AuthHandle:    tpm2.AuthHandle{Handle: tpm2.TPMRHEndorsement, Auth: tpm2.PasswordAuth(nil)},
		PolicySession: session, NonceTPM: nonce,
	}.Execute(conn)
	return err
}
