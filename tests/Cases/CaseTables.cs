namespace RefConv.Cases;

/// <summary>All rows of all kernels. A new operation adds its table here and nowhere else.</summary>
public static class CaseTables
{
    /// <summary>Every row.</summary>
    public static IEnumerable<KernelCase> All =>
    [
        .. GemmCases.All,
        .. Conv2dCases.All,
    ];
}
