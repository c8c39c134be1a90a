// What of a history is never learnt.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/domains/dictd_fixture.hpp"

namespace calm::test {
namespace {

// No real ones among them: each is made of the prefix people look for and letters.
const char *const kSecrets[] = {
    "aws configure set aws_access_key_id AKIAIOSFODNN7EXAMPLE",
    "export AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "aws configure set aws_secret_access_key abc",
    "git clone https://ghp_abcdefghijklmnopqrstuvwxyz0123456789@github.com/a/b",
    "echo ghp_abcdefghijklmnopqrstuvwxyz0123456789 > t",
    "gh api -H 'x: github_pat_11ABCDEFG0abcdefghijkl_mnop'",
    "glab auth login -t glpat-abcdefghij0123456789",
    "curl https://slack.com/api/x?t=xoxb-123456789012-abcdefghijkl",
    "jwt decode eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxIn0.x",
    "echo '-----BEGIN RSA PRIVATE KEY-----' > id",
    "openai --key sk-abcdefghijklmnopqrstuvwx0123",
    "stripe sk_live_abcdefgh12345678",
    "mysql -u root -phunter2 shop",
    "mysql -u root -p hunter2 shop",
    "sudo mysqldump -phunter2 shop",
    "mysql --password=hunter2",
    "psql 'host=x password=hunter2'",
    "psql postgres://ann:hunter2@db/shop",
    "git clone https://ann:hunter2@example.org/x.git",
    "curl ftp://ann:hunter2@example.org/",
    "redis-cli -u redis://:hunter2@cache:6379",
    "curl -u ann:hunter2 https://example.org",
    "curl -uann:hunter2 https://example.org",
    "curl --user ann:hunter2 https://example.org",
    "curl -H 'Authorization: Bearer abc' https://example.org",
    "curl -H \"authorization: Basic YTpi\" https://example.org",
    "curl -H 'X-Api-Key: abc' https://example.org",
    "curl -d '{\"password\": \"hunter2\"}' https://example.org",
    "curl 'https://example.org/?access_token=abc'",
    "wget --http-password hunter2 https://example.org",
    "sshpass -p hunter2 ssh ann@example.org",
    "sshpass -e ssh ann@example.org",
    "docker login -u ann -p hunter2",
    "export X_SECRET=abc",
    "MY_TOKEN=abc ./run",
    "DB_PASS=abc make",
    "set -x API_KEY abc",
    "setenv DB_PASSWORD abc",
    "$env:API_TOKEN = 'abc'",
    "echo hunter2 | sudo -S true",
    "echo ann:hunter2 | chpasswd",
    "echo hunter2 | docker login --password-stdin",
    "redis-cli -a hunter2 ping",
    "ldapsearch -D cn=x -w hunter2",
    "smbclient //h/s -U ann%hunter2",
    "openssl enc -aes256 -k hunter2",
    "zip -P hunter2 a.zip b",
    "7z x -phunter2 a.7z",
    "htpasswd -b f ann hunter2",
    "vault kv put secret/x value=hunter2",
    "ansible-playbook --vault-password hunter2 x.yml",
    "sh -c 'mysql -phunter2'",
    "echo $(curl -u a:b https://x)",
    "npm config set //registry.npmjs.org/:_authToken abc",
    "deploy Zx81Kq93LmPw02RtYu64VbNc55",
    "tg 123456789:AAabcdefghijklmnopqrstuvwxyz0123456",
    // Behind what runs a command elsewhere or again.
    "docker exec -it db mysql -uroot -phunter2",
    "kubectl exec -it db -- mysql -uroot -phunter2",
    "ssh ann@example.org mysql -uroot -phunter2",
    "ssh ann@example.org 'echo hunter2 | sudo -S reboot'",
    "watch mysql -phunter2",
    // Options written together.
    "curl -sSu ann:hunter2 https://example.org",
    "curl -sb session=abc https://example.org",
    "ldapsearch -xw hunter2 -b dc=x",
    "zip -rP hunter2 a.zip b",
    "unzip -oP hunter2 a.zip",
    "rar a -hphunter2 a.rar b",
    "htpasswd -nb ann hunter2",
    // Statements, addresses, files, pipes and here-strings.
    "psql -c \"ALTER USER ann PASSWORD 'hunter2'\"",
    "mysql -e \"CREATE USER ann IDENTIFIED BY 'hunter2'\"",
    "sqlite3 x \"PRAGMA key='hunter2'\"",
    "sqlplus system/hunter2@db",
    "sftp ann:hunter2@example.org",
    "curl -x ann:hunter2@proxy:3128 https://example.org",
    "curl 'https://example.org/map?z=1&key=abc'",
    "curl -d x https://hooks.slack.com/services/T0/B0/abc",
    "echo 'machine x login ann password hunter2' >> .netrc",
    "echo x:hunter2 > .pgpass",
    "echo hunter2 | cryptsetup open /dev/sdx x",
    "printf 'hunter2\\nhunter2' | smbpasswd -s -a ann",
    "kinit ann <<< hunter2",
    "sudo -S true <<< hunter2",
    // Commands with manners of their own.
    "ssh-keygen -t rsa -N hunter2 -f id",
    "redis-cli -h x auth hunter2",
    "redis-cli config set requirepass hunter2",
    "rabbitmqctl add_user ann hunter2",
    "nmcli dev wifi connect x password hunter2",
    "nmcli con modify x wifi-sec.psk hunter2",
    "useradd -p hunter2 ann",
    "openssl passwd -1 hunter2",
    "keytool -storepass hunter2 -list",
    "wp core config --dbpass=hunter2",
    "git config --global user.password hunter2",
    "yarn config set npmAuthToken abc",
    "skopeo copy --src-creds=ann:hunter2 a b",
    "mosquitto_pub -u ann -P hunter2 -t x",
    "kubectl create secret generic x --from-literal=key=hunter2",
    "oathtool --totp -b JBSWY3DPEHPK3PXP",
    "xfreerdp /u:ann /p:hunter2 /v:x",
    "python -c \"import os; os.environ['TOKEN']='abc'\"",
};

const char *const kPlain[] = {
    "git status",
    "ls -la",
    "docker run -p 8080:80 nginx",
    "ssh -p 22 ann@example.org",
    "git clone git@github.com:a/b.git",
    "git clone ssh://git@example.org/x",
    "mkdir -p a/b",
    "git checkout 721a85b0f3c1d2e4a5b6c7d8e9f0a1b2c3d4e5f6",
    "export PATH=$HOME/bin:$PATH",
    "PYTHON_PATH=src pytest",
    "curl -fsSL https://example.org/x?page=2",
    "cp -p a b",
    "sort --key=2 f",
    "mysql -u root -p",
    "tar -xzf linux-6.1.tar.gz",
    "ssh-keygen -t ed25519",
    "echo 'a: b'",
    "python3 -m http.server 8000",
    "keyboard=de loadkeys",
    "pass show mail",
    "calm dataset tokenize f --tokenizer byte",
    "passwd ann",
    "kubectl get secrets",
    "docker run --name mysql -p 3306:3306 mysql:8",
    "docker run --user 1000:1000 x",
    "docker pull x:1@sha256:abc",
    "curl -sSLo x https://example.org",
    "curl -XPUT https://example.org",
    "curl -sSL https://example.org | gpg --dearmor -o x",
    "git config credential.helper store",
    "git config --global user.email ann@example.org",
    "npm i npm:chalk@5",
    "scp ann@example.org:a/b .",
    "ssh-keygen -t ed25519 -N '' -f id",
    "unzip -o x.zip -d y",
    "grep -rn password src",
    "echo 1 | sudo tee x",
    "set -o vi",
    "cd \"$(git rev-parse --show-toplevel)\"",
    "echo \"a $(date +%F) b\" ${x:-a b}",
};

Imported import_line(const std::string &line) {
  const TemporaryFolder folder;
  return import_with(domain_of("shell"), {folder.write(".bash_history", line + "\n")});
}

TEST(ShellSecrets, ALineWithASecretIsDroppedAndCounted) {
  for (const char *line : kSecrets) {
    const Imported got = import_line(line);
    EXPECT_TRUE(got.records.empty()) << line;
    std::uint64_t dropped = 0;
    for (const auto &[name, count] : got.counts) {
      dropped += name.starts_with("skipped commands: secret: ") ? count : 0;
    }
    EXPECT_EQ(dropped, 1u) << line;
  }
}

TEST(ShellSecrets, OrdinaryLinesStay) {
  for (const char *line : kPlain) {
    EXPECT_EQ(import_line(line).records.size(), 1u) << line;
  }
}

}  // namespace
}  // namespace calm::test
