import com.microsoft.azure.sdk.iot.provisioning.security.SecurityProvider;
import com.microsoft.azure.sdk.iot.provisioning.service.ProvisioningServiceClient;
import com.microsoft.azure.sdk.iot.provisioning.service.configs.*;
import java.util.List;

/**
 * First boot with the public Java device client, unmodified, over every transport with every
 * attestation that needs no chip.
 *
 * <p>DPS_ID_SCOPE: of the deployment; DPS_SERVICE_CONNECTION_STRING: of an owner; DPS_HUBS: host
 * names of linked hubs, comma-separated; and what {@link Device} needs.
 */
public final class DeviceTest {
  private static final String UNIQUE = Long.toHexString(System.currentTimeMillis());

  private final ProvisioningServiceClient service =
      new ProvisioningServiceClient(System.getenv("DPS_SERVICE_CONNECTION_STRING"));
  private final Device device;

  private DeviceTest(Device device) {
    this.device = device;
  }

  public static void main(String[] args) {
    for (Device d : Device.overEveryTransport(System.getenv("DPS_ID_SCOPE"))) {
      DeviceTest t = new DeviceTest(d);
      d.row("symmetric key, individual", t::keyIndividual);
      d.row("symmetric key, group", t::keyGroup);
      d.row("X.509, individual", t::certificateIndividual);
      d.row("X.509, group with chain", t::certificateGroup);
    }
    System.exit(0); // the client leaves threads behind
  }

  private String keyIndividual() throws Exception {
    String id = device.name + "-sym-" + UNIQUE;
    SymmetricKeyAttestation made =
        (SymmetricKeyAttestation) service.createOrUpdateIndividualEnrollment(new IndividualEnrollment(id, generated())).getAttestation();
    return assigned(id, Device.withKey(made.getPrimaryKey(), id));
  }

  private String keyGroup() throws Exception {
    String group = device.name + "-grp-sym-" + UNIQUE;
    String id = device.name + "-grouped-" + UNIQUE;
    SymmetricKeyAttestation made =
        (SymmetricKeyAttestation) service.createOrUpdateEnrollmentGroup(new EnrollmentGroup(group, generated())).getAttestation();
    String shown = assigned(id, Device.withDerivedKey(made.getPrimaryKey(), id));
    service.deleteEnrollmentGroup(group);
    return shown;
  }

  private String certificateIndividual() throws Exception {
    String id = "ind-" + device.name;
    service.createOrUpdateIndividualEnrollment(
        new IndividualEnrollment(id, X509Attestation.createFromClientCertificates(Device.pem(id + ".pem"))));
    return assigned(id, Device.withCertificate(id + ".pem", id + ".key"));
  }

  private String certificateGroup() throws Exception {
    String group = device.name + "-grp-x509-" + UNIQUE;
    String id = "grp-" + device.name;
    service.createOrUpdateEnrollmentGroup(
        new EnrollmentGroup(group, X509Attestation.createFromRootCertificates(Device.pem("root.pem"))));
    String shown = assigned(id, Device.withCertificate(id + ".chain.pem", id + ".key"));
    service.deleteEnrollmentGroup(group);
    return shown;
  }

  private String assigned(String id, SecurityProvider security) throws Exception {
    String hub = device.assigned(id, security).getIothubUri();
    Device.check(List.of(System.getenv("DPS_HUBS").split(",")).contains(hub), "assigned to " + hub);
    return null;
  }

  private static SymmetricKeyAttestation generated() {
    return new SymmetricKeyAttestation("", "");
  }
}
