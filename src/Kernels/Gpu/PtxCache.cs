using System.Security.Cryptography;
using System.Text;

namespace RefConv.Kernels;

/// <summary>
/// PTX kept on disk, so that the next process does not compile it again: a file a kernel, named by the hash of all that its text depends on. A file that is damaged, or that cannot be
/// read or written, is as good as none: nothing here ever fails.
/// </summary>
/// <param name="folder">Made when something is kept.</param>
internal sealed class PtxCache(string folder)
{
    /// <summary>Names the folder; <c>off</c> for none.</summary>
    public const string Variable = "REFCONV_PTX_CACHE";

    /// <summary>Files that nobody wanted for so long belong to builds of yesterday.</summary>
    private static readonly TimeSpan s_keep = TimeSpan.FromDays(30);

    private const string Mark = "// refconv ";
    private int _kept;

    /// <summary>The cache of this user; null where there is none, or none is wanted.</summary>
    public static PtxCache? Ours { get; } = Open(Environment.GetEnvironmentVariable(Variable), Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData));

    /// <param name="wanted">What the variable says.</param>
    /// <param name="applicationData">The user's folder for such things; empty where there is none.</param>
    internal static PtxCache? Open(string? wanted, string applicationData) => wanted switch
    {
        "off" => null,
        { Length: > 0 } => new PtxCache(wanted),
        _ => applicationData.Length > 0 ? new PtxCache(Path.Combine(applicationData, "refconv", "ptx")) : null,
    };

    /// <summary>The text that was kept under this key; null if there is none that is whole.</summary>
    public string? Read(string key)
    {
        string file = FileOf(key);
        try
        {
            if (!File.Exists(file)) return null;
            string all = File.ReadAllText(file);
            int end = all.IndexOf('\n', StringComparison.Ordinal);
            if (end < 0 || all[..end] != Mark + Hash(all[(end + 1)..])) return null;
            File.SetLastWriteTimeUtc(file, DateTime.UtcNow);
            return all[(end + 1)..];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>Keeps a text. Written under another name and renamed: processes that start together never see half a file.</summary>
    public void Keep(string key, string ptx)
    {
        string file = FileOf(key), temporary = $"{file}.{Environment.ProcessId}-{Environment.CurrentManagedThreadId}.tmp";
        try
        {
            Directory.CreateDirectory(folder);
            File.WriteAllText(temporary, $"{Mark}{Hash(ptx)}\n{ptx}");
            File.Move(temporary, file, overwrite: true);
            if (Interlocked.Increment(ref _kept) == 1) Tidy();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // No space, or a folder that is not ours: then every process compiles.
        }
    }

    private void Tidy()
    {
        foreach (var file in new DirectoryInfo(folder).EnumerateFiles().Where(f => f.LastWriteTimeUtc < DateTime.UtcNow - s_keep).ToArray()) file.Delete();
    }

    private string FileOf(string key) => Path.Combine(folder, Hash(key)[..32] + ".ptx");

    private static string Hash(string text) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)));
}
