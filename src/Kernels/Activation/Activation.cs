namespace RefConv.Kernels;

/// <summary>Element-wise activation functions, named as PyTorch names them.</summary>
public enum ActivationKind
{
    /// <summary>y = x</summary>
    Identity,

    /// <summary>y = max(x, 0)</summary>
    ReLU,

    /// <summary>y = min(max(x, 0), 6)</summary>
    ReLU6,

    /// <summary>y = ReLU6(x + 3) / 6</summary>
    Hardsigmoid,

    /// <summary>y = x · ReLU6(x + 3) / 6 (h-swish)</summary>
    Hardswish,

    /// <summary>y = 1 / (1 + e⁻ˣ)</summary>
    Sigmoid,

    /// <summary>y = x · sigmoid(x)</summary>
    SiLU,

    /// <summary>y = x/2 · (1 + erf(x/√2)), the exact form</summary>
    GELU,
}

public partial interface IKernels
{
    /// <summary><c>y[i] = f(x[i])</c>. Works in place.</summary>
    /// <param name="kind">f</param>
    /// <param name="x">Input.</param>
    /// <param name="y">Output, as long as x.</param>
    void ActivationForward(ActivationKind kind, BufferView x, BufferView y);

    /// <summary>
    /// <c>dx[i] (+)= f′(x[i]) · dy[i]</c>. At the kinks f′ is what PyTorch takes: 0 for ReLU at 0, for ReLU6 at 0 and 6,
    /// for Hardsigmoid at −3 and 3, and for Hardswish at −3; 1 for Hardswish at 3. Where x is NaN f′ of these four is 0 (PyTorch is of two minds there: its vector and its scalar code differ).
    /// </summary>
    /// <param name="kind">f</param>
    /// <param name="x">Input of the forward pass.</param>
    /// <param name="dy">Gradient of the output.</param>
    /// <param name="dx">Gradient of the input; may be dy itself.</param>
    /// <param name="accumulate">Add to dx instead of overwriting it.</param>
    void ActivationBackward(ActivationKind kind, BufferView x, BufferView dy, BufferView dx, bool accumulate);
}
