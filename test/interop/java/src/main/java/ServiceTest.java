import com.microsoft.azure.sdk.iot.provisioning.service.ProvisioningServiceClient;
import com.microsoft.azure.sdk.iot.provisioning.service.Query;
import com.microsoft.azure.sdk.iot.provisioning.service.configs.*;
import com.microsoft.azure.sdk.iot.provisioning.service.exceptions.*;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/**
 * The public Java service client against the service API: every operation it has.
 *
 * <p>DPS_SERVICE_CONNECTION_STRING: of an owner. DPS_HUBS: host names of linked hubs,
 * comma-separated. DPS_CERTS: folder with test certificates. DPS_BINARY, DPS_READY: dps, and the
 * ready file of dps dev, for a device that registers. The JVM's trust store holds the development
 * CA.
 */
public final class ServiceTest {
  private static final String UNIQUE =
      ProcessHandle.current().pid() + "-" + Long.toHexString(System.currentTimeMillis());
  private static final QuerySpecification ENROLLMENTS =
      new QuerySpecificationBuilder("*", QuerySpecificationBuilder.FromType.ENROLLMENTS).createSqlQuery();
  private static final QuerySpecification GROUPS =
      new QuerySpecificationBuilder("*", QuerySpecificationBuilder.FromType.ENROLLMENT_GROUPS).createSqlQuery();
  private static final QuerySpecification STATES =
      new QuerySpecificationBuilder("*", QuerySpecificationBuilder.FromType.DEVICE_REGISTRATIONS).createSqlQuery();

  private final ProvisioningServiceClient client =
      new ProvisioningServiceClient(System.getenv("DPS_SERVICE_CONNECTION_STRING"));

  public static void main(String[] args) throws Exception {
    ServiceTest t = new ServiceTest();
    step("individual enrollment", t::individual);
    step("attestation kinds", t::kinds);
    step("bulk and query", t::bulkAndQuery);
    step("group", t::group);
    step("registration states", t::registrationStates);
  }

  private interface Step {
    void run() throws Exception;
  }

  private static void step(String name, Step s) throws Exception {
    s.run();
    System.out.println("ok " + name);
  }

  private static void check(boolean holds, String what) {
    if (!holds) {
      throw new AssertionError(what);
    }
  }

  private static void refused(Class<? extends Exception> with, Step s) throws Exception {
    try {
      s.run();
    } catch (Exception e) {
      check(with.isInstance(e), "expected " + with.getSimpleName() + ", got " + e);
      return;
    }
    throw new AssertionError("expected " + with.getSimpleName() + ", but the call succeeded");
  }

  /** Keys that are left out: the service generates them, and keeps those it has. */
  private static SymmetricKeyAttestation generated() {
    return new SymmetricKeyAttestation("", "");
  }

  private void individual() throws Exception {
    String id = "java-sym-" + UNIQUE;
    IndividualEnrollment e = new IndividualEnrollment(id, generated());
    e.setDeviceId("device-" + UNIQUE);
    e.setIotHubs(Arrays.asList(System.getenv("DPS_HUBS").split(",")));
    e.setAllocationPolicy(AllocationPolicy.HASHED);
    e.setReprovisionPolicy(new ReprovisionPolicy());
    IndividualEnrollment made = client.createOrUpdateIndividualEnrollment(e);
    String key = ((SymmetricKeyAttestation) made.getAttestation()).getPrimaryKey();
    check(Base64.getDecoder().decode(key).length == 64, "a key of " + key);

    IndividualEnrollment read = client.getIndividualEnrollment(id);
    check(read.getDeviceId().equals("device-" + UNIQUE), read.getDeviceId());
    check(read.getAllocationPolicy() == AllocationPolicy.HASHED, "policy " + read.getAllocationPolicy());
    check(read.getCreatedDateTimeUtc() != null, "no creation time");

    read.setAttestation(generated());
    read.setProvisioningStatus(ProvisioningStatus.DISABLED);
    IndividualEnrollment updated = client.createOrUpdateIndividualEnrollment(read);
    check(updated.getProvisioningStatus() == ProvisioningStatus.DISABLED, "not disabled");
    AttestationMechanism keys = client.getIndividualEnrollmentAttestationMechanism(id);
    check(((SymmetricKeyAttestation) keys.getAttestation()).getPrimaryKey().equals(key), "a masked update changed the keys");

    refused(ProvisioningServiceClientPreconditionFailedException.class, () -> client.createOrUpdateIndividualEnrollment(read));
    refused(ProvisioningServiceClientPreconditionFailedException.class, () -> client.deleteIndividualEnrollment(id, read.getEtag()));
    client.deleteIndividualEnrollment(updated);
    refused(ProvisioningServiceClientNotFoundException.class, () -> client.getIndividualEnrollment(id));
  }

  private void kinds() throws Exception {
    byte[] ek = new byte[2 + 0x13a];
    Arrays.fill(ek, (byte) 7);
    ek[0] = 0x01;
    ek[1] = 0x3a;
    String endorsementKey = Base64.getEncoder().encodeToString(ek);
    IndividualEnrollment tpm = new IndividualEnrollment("java-tpm-" + UNIQUE, new TpmAttestation(endorsementKey));
    client.createOrUpdateIndividualEnrollment(tpm);
    TpmAttestation got = (TpmAttestation) client.getIndividualEnrollment(tpm.getRegistrationId()).getAttestation();
    check(got.getEndorsementKey().equals(endorsementKey), "endorsement key");

    X509Attestation leaf = X509Attestation.createFromClientCertificates(pem("ind-x509-a.pem"), pem("ind-x509-b.pem"));
    IndividualEnrollment x509 = new IndividualEnrollment("java-x509-" + UNIQUE, leaf);
    client.createOrUpdateIndividualEnrollment(x509);
    X509Attestation stored = (X509Attestation) client.getIndividualEnrollment(x509.getRegistrationId()).getAttestation();
    check(stored.getPrimaryX509CertificateInfo().getSha256Thumbprint().length() == 64, "primary thumbprint");
    check(stored.getSecondaryX509CertificateInfo() != null, "no secondary certificate");
    for (IndividualEnrollment e : List.of(tpm, x509)) {
      client.deleteIndividualEnrollment(e.getRegistrationId());
    }
  }

  private static String pem(String name) throws Exception {
    return Files.readString(Path.of(System.getenv("DPS_CERTS"), name));
  }

  private void bulkAndQuery() throws Exception {
    List<IndividualEnrollment> rows = new ArrayList<>();
    Set<String> missing = new HashSet<>();
    for (int n = 0; n < 10; n++) {
      rows.add(new IndividualEnrollment("java-bulk-" + n + "-" + UNIQUE, generated()));
      missing.add(rows.get(n).getRegistrationId());
    }
    check(client.runBulkEnrollmentOperation(BulkOperationMode.CREATE, rows).getSuccessful(), "bulk create");
    BulkEnrollmentOperationResult again = client.runBulkEnrollmentOperation(BulkOperationMode.CREATE, rows.subList(0, 2));
    check(!again.getSuccessful() && again.getErrors().size() == 2, "bulk create of what exists");

    int pages = 0;
    for (Query q = client.createIndividualEnrollmentQuery(ENROLLMENTS, 3); q.hasNext(); pages++) {
      QueryResult page = q.next();
      check(page.getType() == QueryResultType.ENROLLMENT, "type " + page.getType());
      check(page.getItems().length <= 3, page.getItems().length + " items in a page of 3");
      for (Object item : page.getItems()) {
        missing.remove(((IndividualEnrollment) item).getRegistrationId());
      }
    }
    check(pages > 3 && missing.isEmpty(), pages + " pages, without " + missing);

    check(client.runBulkEnrollmentOperation(BulkOperationMode.UPDATE, rows).getSuccessful(), "bulk update");
    List<IndividualEnrollment> read = new ArrayList<>();
    for (IndividualEnrollment e : rows) {
      read.add(client.getIndividualEnrollment(e.getRegistrationId()));
      read.get(read.size() - 1).setAttestation(generated());
    }
    check(client.runBulkEnrollmentOperation(BulkOperationMode.UPDATE_IF_MATCH_ETAG, read).getSuccessful(), "bulk update if match");
    check(!client.runBulkEnrollmentOperation(BulkOperationMode.UPDATE_IF_MATCH_ETAG, read).getSuccessful(), "bulk update with stale etags");
    check(client.runBulkEnrollmentOperation(BulkOperationMode.DELETE, rows).getSuccessful(), "bulk delete");
  }

  private void group() throws Exception {
    String id = "java-grp-" + UNIQUE;
    EnrollmentGroup g = new EnrollmentGroup(id, X509Attestation.createFromRootCertificates(pem("root.pem")));
    EnrollmentGroup made = client.createOrUpdateEnrollmentGroup(g);
    check(client.getEnrollmentGroup(id).getEtag().equals(made.getEtag()), "etag");
    made.setProvisioningStatus(ProvisioningStatus.DISABLED);
    EnrollmentGroup updated = client.createOrUpdateEnrollmentGroup(made);
    check(updated.getProvisioningStatus() == ProvisioningStatus.DISABLED, "not disabled");

    boolean listed = false;
    for (Query q = client.createEnrollmentGroupQuery(GROUPS); q.hasNext(); ) {
      QueryResult page = q.next();
      check(page.getType() == QueryResultType.ENROLLMENT_GROUP, "type " + page.getType());
      for (Object item : page.getItems()) {
        listed |= ((EnrollmentGroup) item).getEnrollmentGroupId().equals(id);
      }
    }
    check(listed, "the query does not find the group");
    refused(ProvisioningServiceClientPreconditionFailedException.class, () -> client.deleteEnrollmentGroup(id, g.getEtag() == null ? "\"stale\"" : g.getEtag()));
    client.deleteEnrollmentGroup(updated);
    refused(ProvisioningServiceClientNotFoundException.class, () -> client.getEnrollmentGroup(id));
  }

  private void registrationStates() throws Exception {
    String group = "java-reg-" + UNIQUE;
    String device = "java-dev-" + UNIQUE;
    client.createOrUpdateEnrollmentGroup(new EnrollmentGroup(group, generated()));
    AttestationMechanism keys = client.getEnrollmentGroupAttestationMechanism(group);
    register(device, ((SymmetricKeyAttestation) keys.getAttestation()).getPrimaryKey());

    DeviceRegistrationState state = client.getDeviceRegistrationState(device);
    check(state.getStatus() == EnrollmentStatus.ASSIGNED, "status " + state.getStatus());
    check(List.of(System.getenv("DPS_HUBS").split(",")).contains(state.getAssignedHub()), "hub " + state.getAssignedHub());
    Query q = client.createEnrollmentGroupRegistrationStateQuery(STATES, group);
    Object[] items = q.next().getItems();
    check(items.length == 1 && ((DeviceRegistrationState) items[0]).getRegistrationId().equals(device), "states of the group");

    refused(ProvisioningServiceClientPreconditionFailedException.class, () -> client.deleteDeviceRegistrationState(device, "\"stale\""));
    client.deleteDeviceRegistrationState(state);
    refused(ProvisioningServiceClientNotFoundException.class, () -> client.getDeviceRegistrationState(device));
    client.deleteEnrollmentGroup(group);
  }

  private static void register(String device, String master) throws Exception {
    Mac mac = Mac.getInstance("HmacSHA256");
    mac.init(new SecretKeySpec(Base64.getDecoder().decode(master), "HmacSHA256"));
    String key = Base64.getEncoder().encodeToString(mac.doFinal(device.getBytes(StandardCharsets.UTF_8)));
    Process p =
        new ProcessBuilder(
                System.getenv("DPS_BINARY"), "device", "register", "--ready-file", System.getenv("DPS_READY"),
                "--registration-id", device, "--key", key)
            .inheritIO()
            .start();
    check(p.waitFor() == 0, "the device did not register");
  }
}
